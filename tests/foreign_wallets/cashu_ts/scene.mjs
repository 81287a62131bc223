// cashu-ts against a mint: fund, send, receive, lock, melt, restore. One JSON document on standard output.
// node scene.mjs PATH_OF_CASHU_TS URL TOKEN
import { createECDH, createHash } from "node:crypto";
import { pathToFileURL } from "node:url";

const [library, url, token] = process.argv.slice(2);
const { Wallet, getEncodedToken, P2PKBuilder } = await import(pathToFileURL(library));

const hash = (text) => createHash("sha256").update(text).digest();
const seed = (name) => new Uint8Array([...hash(`${name} 1`), ...hash(`${name} 2`)]);
const sum = (proofs) => proofs.reduce((total, proof) => total + Number(proof.amount), 0);
const KEY = hash("a key of cashu-ts").toString("hex");

async function wallet(name) {
  const made = new Wallet(url, { unit: "sat", bip39seed: seed(name) });
  await made.loadMint();
  return made;
}

async function admin(path, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${url}/admin/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return { code: error.code ?? null, message: String(error.message).slice(0, 200) };
  }
  throw new Error("the mint did not refuse");
}

function publicKeyOf(key) {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(key, "hex");
  return curve.getPublicKey("hex", "compressed");
}
const PUBLIC = publicKeyOf(KEY);
const told = {};

const alice = await wallet("alice");
const bob = await wallet("bob");
told.offers = [4, 5, 7, 8, 9, 10, 11, 12, 14, 20].filter((nut) => alice.getMintInfo().nuts[nut] !== undefined);

// fund
const quote = await alice.createMintQuoteBolt11(1000);
told.paid = (await alice.checkMintQuoteBolt11(quote.quote)).state;
let purse = await alice.ops.mintBolt11(1000, quote).asDeterministic().run();
told.funded = sum(purse);

// fund with a locked quote: NUT-20
const locked = await alice.createLockedMintQuote(64, PUBLIC);
const more = await alice.ops.mintBolt11(64, locked).privkey(KEY).asDeterministic().run();
told.fundedLocked = sum(more);
purse = [...purse, ...more];

// send and receive
const sent = await alice.ops.send(300, purse).asDeterministic().keepAsDeterministic().includeFees(true).run();
purse = sent.keep;
const text = getEncodedToken({ mint: url, proofs: sent.send, unit: "sat" });
told.token = text.slice(0, 6);
let received = await bob.ops.receive(text).asDeterministic().run();
told.received = sum(received);
told.receivedTwice = await refused(bob.ops.receive(text).asDeterministic().run());
told.states = [...new Set((await alice.checkProofsStates(sent.send)).map((entry) => entry.state))];

// a token locked to a key
for (const [name, sigAll] of [["p2pk", false], ["p2pkSigAll", true]]) {
  const builder = new P2PKBuilder().addLockPubkey(PUBLIC);
  const options = (sigAll ? builder.sigAll() : builder).toOptions();
  const gift = await alice.ops.send(50, purse).asP2PK(options).keepAsDeterministic().includeFees(true).run();
  purse = gift.keep;
  told[`${name}WithoutKey`] = await refused(bob.ops.receive(gift.send).asDeterministic().run());
  const opened = await bob.ops.receive(gift.send).privkey(KEY).asDeterministic().run();
  told[name] = sum(opened);
  received = [...received, ...opened];
}

// melt: paid with change, then one that stays pending and arrives, then one that fails
const { invoice } = await admin("payments/invoice", { amount: 200 });
const melt = await alice.createMeltQuoteBolt11(invoice);
const coins = await alice.ops.send(Number(melt.amount) + Number(melt.fee_reserve), purse)
  .asDeterministic().keepAsDeterministic().includeFees(true).run();
purse = coins.keep;
const paid = await alice.ops.meltBolt11(melt, coins.send).asDeterministic().run();
told.melt = { state: paid.quote.state, change: sum(paid.change), preimage: paid.quote.payment_preimage?.length };
purse = [...purse, ...paid.change];

await admin("payments/next", { outcome: "PENDING" });
const slow = (await admin("payments/invoice", { amount: 30 })).invoice;
const slowQuote = await alice.createMeltQuoteBolt11(slow);
const slowCoins = await alice.ops.send(Number(slowQuote.amount) + Number(slowQuote.fee_reserve), purse)
  .asDeterministic().keepAsDeterministic().includeFees(true).run();
purse = slowCoins.keep;
const pending = await alice.ops.meltBolt11(slowQuote, slowCoins.send).asDeterministic().run();
told.pending = pending.quote.state;
told.pendingStates = [...new Set((await alice.checkProofsStates(slowCoins.send)).map((entry) => entry.state))];
await admin("payments/settle", { invoice: slow });
const settled = await alice.checkMeltQuoteBolt11(slowQuote.quote);
told.settled = settled.state;
told.settledChange = sum(settled.change);

await admin("payments/next", { outcome: "FAILED" });
const bad = (await admin("payments/invoice", { amount: 20 })).invoice;
const badQuote = await alice.createMeltQuoteBolt11(bad);
const badCoins = await alice.ops.send(Number(badQuote.amount) + Number(badQuote.fee_reserve), purse)
  .asDeterministic().keepAsDeterministic().includeFees(true).run();
purse = [...badCoins.keep, ...badCoins.send];
told.failed = await refused(alice.ops.meltBolt11(badQuote, badCoins.send).asDeterministic().run());

// from now on there is a second keyset: what is of the first one is restored, too
await admin("keysets/rotate", { input_fee_ppk: 0 });
told.bob = sum(received);

// restore from the seed alone
async function restored(name) {
  const fresh = await wallet(name);
  const found = [];
  for (const keyset of fresh.keyChain.getKeysets()) {
    found.push(...(await fresh.batchRestore(100, 50, 0, keyset.id)).proofs);
  }
  return sum((await fresh.groupProofsByState(found)).unspent);
}
told.restored = { alice: await restored("alice"), bob: await restored("bob") };
told.alice = sum(purse);

// the answer of a swap is lost: the proofs are spent, restore finds the new ones
const lost = await wallet("carol");
const q = await lost.createMintQuoteBolt11(128);
const mine = await lost.ops.mintBolt11(128, q).asDeterministic().run();
await admin("faults/next", { endpoint: "swap", faults: [{ kind: "answer_lost" }] });
told.lost = (await refused(lost.ops.send(10, mine).asDeterministic().keepAsDeterministic().run())).message;
told.lostRestored = await restored("carol");

console.log(JSON.stringify(told, null, 1));
