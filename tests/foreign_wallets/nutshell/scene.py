"""The Nutshell wallet against a mint: fund, send, receive, lock, melt, restore. It runs in the real mint's
environment, not in ours: ``python scene.py URL TOKEN FOLDER``, and prints one JSON document."""

import asyncio
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

URL, TOKEN, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
os.environ |= {"HOME": str(FOLDER), "CASHU_DIR": str(FOLDER), "TOR": "FALSE", "MINT_URL": URL}

from cashu.core.base import Proof  # noqa: E402 - its settings are read when it is imported
from cashu.wallet.helpers import deserialize_token_from_string, receive, send  # noqa: E402
from cashu.wallet.wallet import Wallet  # noqa: E402

told: dict[str, Any] = {}


async def opened(name: str) -> Wallet:
    wallet = await Wallet.with_db(URL, str(FOLDER / name), name)
    await wallet.load_mint()
    await wallet.load_proofs()
    return wallet


def admin(path: str, **fields: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"{URL}/admin/{path}", json.dumps(fields).encode(), headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


async def refused(waited: Any) -> str:
    try:
        await waited
    except Exception as error:  # noqa: BLE001 - whatever Nutshell makes of a refusal
        return str(error)[:200]
    raise AssertionError("the mint did not refuse")


async def fund(wallet: Wallet, amount: int) -> None:
    quote = await wallet.request_mint(amount)  # with a NUT-20 key
    await wallet.mint(amount, quote_id=quote.quote)


async def give(wallet: Wallet, amount: int, lock: str = "") -> str:
    _, token = await send(wallet, amount=amount, lock=lock, legacy=False)
    return str(token)


async def take(wallet: Wallet, token: str) -> None:
    await receive(wallet, deserialize_token_from_string(token))


async def pay(wallet: Wallet, amount: int) -> tuple[Any, list[Proof], str]:
    invoice = str(admin("payments/invoice", amount=amount)["invoice"])
    quote = await wallet.melt_quote(invoice)
    proofs, _ = await wallet.select_to_send(
        wallet.proofs, quote.amount + quote.fee_reserve, include_fees=True
    )
    answer = await wallet.melt(proofs, invoice, quote.fee_reserve, quote.quote)
    return answer, proofs, invoice


def balance(wallet: Wallet) -> int:
    return int(wallet.available_balance.amount)


async def main() -> None:
    alice, bob = await opened("alice"), await opened("bob")
    await fund(alice, 1000)
    told["funded"] = balance(alice)

    token = await give(alice, 300)
    told["token"] = token[:6]
    await take(bob, token)
    told["received"] = balance(bob)
    told["received_twice"] = await refused(take(bob, token))

    for name, kind in (("p2pk", "P2PK"), ("p2pk_sig_all", "P2PK-SIGALL")):
        token = await give(alice, 50, f"{kind}:{await bob.create_p2pk_pubkey()}")
        told[f"{name}_without_key"] = await refused(take(await opened(f"thief_{name}"), token))
        await take(bob, token)
        told[name] = balance(bob)

    preimage = hashlib.sha256(b"a preimage").hexdigest()
    lock = await alice.create_htlc_lock(preimage=preimage)
    _, proofs = await alice.swap_to_send(alice.proofs, 40, set_reserved=True, secret_lock=lock)
    told["htlc_without_preimage"] = await refused(bob.redeem(proofs))
    for proof in proofs:
        proof.witness = json.dumps({"preimage": preimage})
    await bob.redeem(proofs)
    told["htlc"] = balance(bob)

    answer, _, _ = await pay(alice, 200)
    told["melt"] = {
        "state": answer.state, "change": sum(change.amount for change in answer.change or []),
        "preimage": len(answer.payment_preimage or ""),
    }  # fmt: skip
    admin("payments/next", outcome="PENDING")
    answer, proofs, invoice = await pay(alice, 30)
    told["pending"] = answer.state
    told["pending_states"] = sorted(
        {state.state.name for state in (await alice.check_proof_state(proofs)).states}
    )
    admin("payments/settle", invoice=invoice)
    settled = await alice.get_melt_quote(answer.quote)
    told["settled"] = None if settled is None else settled.state.name
    admin("payments/next", outcome="FAILED")
    told["failed"] = await refused(pay(alice, 20))
    await alice.load_proofs(reload=True)

    admin("keysets/rotate", input_fee_ppk=0)
    for wallet in (alice, bob):
        fresh = await Wallet.with_db(URL, str(FOLDER / f"{wallet.name}_again"), "again")
        await fresh.load_mint()
        await fresh.restore_wallet_from_mnemonic(wallet.mnemonic, to=2, batch=25)
        await fresh.load_proofs(reload=True, all_keysets=True)
        told[f"restored_{wallet.name}"] = balance(fresh)
        await wallet.load_proofs(reload=True, all_keysets=True)
        told[f"balance_{wallet.name}"] = balance(wallet)


asyncio.run(main())
print(json.dumps(told))  # noqa: T201
