"""Records to plain data and back, strictly: a read record equals the written one, or CorruptRecord.

Plain means dict, list, str, int, float, bool, None: ready for JSON. A :class:`Secret` becomes its
string. Reading refuses unknown and missing fields, a bool or float where an int belongs and an
integer beyond 2**53-1; the error names the document and the field and never shows a value.
Left out when empty, as existing documents do: ``witness``, ``dleq``, ``Y``, ``dleq.r``, the optional
fields of a tombstone's span and those of ``metadata``, whose ``extra`` lies at the top level of ``metadata``.
The classes that kinds have for the data of their operations are written and read by the same rules; of them a
field at an empty default (None, False, 0, "", ()) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .. import records
from ..errors import CorruptRecord, InvalidBatch
from ..records import AuditRecord, DedupRecord, Dleq, Operation, Proof, Span, Token, TokenMetadata, Tombstone
from ..secret import Secret
from .plain import AMOUNT_MAX, plain

R = TypeVar("R", Operation, Token, AuditRecord, DedupRecord, Tombstone)
D = TypeVar("D")

_LEAN: Final = (Proof, Dleq, Span)  # their defaults are left out of the document
METADATA_KNOWN: Final = tuple(f.name for f in attrs.fields(TokenMetadata) if f.name != "extra")


class BadField(ValueError):
    """A value at ``path`` does not fit. Deliberately without the value."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _structure_int(value: Any, _: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -AMOUNT_MAX <= value <= AMOUNT_MAX:
        raise BadField("")
    return int(value)


def _structure_exactly(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise BadField("")
        return value

    return structure


def _structure_secret(value: Any, _: Any) -> Secret:
    if type(value) is not str:
        raise BadField("")
    return Secret(value)


def _structure_mapping(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    item_kind = get_args(kind)[1]
    structure_item = None if item_kind is Any else converter.get_structure_hook(item_kind)

    def structure(value: Any, _: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadField("")
        copy: dict[str, Any] = plain(value)
        if structure_item is not None:
            for item in copy.values():
                structure_item(item, item_kind)
        return copy

    return structure


def _structure_tuple(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    item_kind = get_args(kind)[0]
    structure_item = converter.get_structure_hook(item_kind)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise BadField("")
        items = []
        for position, item in enumerate(value):
            try:
                items.append(structure_item(item, item_kind))
            except Exception as error:  # noqa: BLE001 - any failure is the same: this item is bad
                path = _path_of(error)
                raise BadField(f"[{position}]{'.' + path if path else ''}") from None
        return tuple(items)

    return structure


def _structure_record(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    build = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)
    may_lack = kind in _LEAN or not _is_ours(kind)
    required = [f.name for f in attrs.fields(kind) if not (may_lack and f.default is not attrs.NOTHING)]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise BadField("")
        for name in required:
            if name not in value:
                raise BadField(name)
        return build(value, kind)

    return structure


def _structure_metadata(value: Any, _: Any) -> TokenMetadata:
    if not isinstance(value, dict):
        raise BadField("")
    known: dict[str, Any] = {"source": value.get("source")} | {
        k: value[k] for k in METADATA_KNOWN if k in value
    }
    for name, kind in (
        ("source", (str,)),
        ("parent_transaction_id", (str, type(None))),
        ("operation_hash", (str, type(None))),
        ("atomic_operation", (bool, type(None))),
    ):
        if not isinstance(known.get(name), kind):
            raise BadField(name)
    if known.get("operation_timestamp") is not None:
        try:
            known["operation_timestamp"] = _structure_int(known["operation_timestamp"], int)
        except BadField:
            raise BadField("operation_timestamp") from None
    extra = {key: plain(item) for key, item in value.items() if key not in METADATA_KNOWN}
    return TokenMetadata(**known, extra=extra)


def metadata_to_plain(metadata: TokenMetadata, copy: Callable[[Any], Any] = plain) -> dict[str, Any]:
    """``extra`` at the top level, then the known fields that are set. ``copy`` deep-copies values."""
    document: dict[str, Any] = copy(metadata.extra)
    if not document.keys().isdisjoint(METADATA_KNOWN):
        raise TypeError("metadata.extra holds a known field")
    for name in METADATA_KNOWN:
        value = getattr(metadata, name)
        if value is not None:
            document[name] = value
    return document


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _is_mapping(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Mapping


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and attrs.has(kind)


def _is_ours(kind: type) -> bool:
    """Whether it is a class of stored records, not one of a kind's data."""
    return kind.__module__ == records.__name__


def is_empty_default(field: attrs.Attribute[Any]) -> bool:
    """Whether the field has a default that says nothing: None, False, 0, "" or a collection without items."""
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = None if default.takes_self else default.factory()
    return default is not attrs.NOTHING and not default and not attrs.has(type(default))


def _unstructure_record(kind: Any, converter: Converter) -> Callable[[Any], Any]:
    if _is_ours(kind):
        return make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=kind in _LEAN)
    lean: Any = {f.name: override(omit_if_default=True) for f in attrs.fields(kind) if is_empty_default(f)}
    return make_dict_unstructure_fn(kind, converter, **lean)


def _converter() -> Converter:
    converter = Converter()
    for scalar in (str, bool):
        converter.register_structure_hook(scalar, _structure_exactly(scalar))
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(Secret, _structure_secret)
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_structure_hook_factory(_is_tuple, lambda kind: _structure_tuple(kind, converter))
    converter.register_structure_hook_factory(_is_mapping, lambda kind: _structure_mapping(kind, converter))
    converter.register_unstructure_hook_factory(_is_mapping, lambda kind: plain)
    converter.register_structure_hook_factory(_is_record, lambda kind: _structure_record(kind, converter))
    converter.register_unstructure_hook_factory(
        _is_record,
        lambda kind: _unstructure_record(kind, converter),
    )
    converter.register_structure_hook(TokenMetadata, _structure_metadata)
    converter.register_unstructure_hook(TokenMetadata, metadata_to_plain)
    return converter


def _path_of(error: BaseException) -> str:
    """Dotted path to the first bad field, from our own errors and cattrs' groups."""
    if isinstance(error, BadField):
        return error.path
    if isinstance(error, ForbiddenExtraKeysError):
        return _shown(min(error.extra_fields))
    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        if not noted:
            return _path_of(others[0])
        inner, note = noted[0]
        path = _path_of(inner)
        return f"{note.name}{'' if path.startswith('[') or not path else '.'}{path}"
    return ""


def _shown(name: object) -> str:
    # Another program chose the name of an unknown field: show it only if it looks like a name.
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 64 else "(unknown field)"


_CONVERTER: Final = _converter()


def to_plain(record: Operation | Token | AuditRecord | DedupRecord | Tombstone) -> dict[str, Any]:
    """The record as plain data; InvalidBatch if it holds something that is not JSON."""
    try:
        document: dict[str, Any] = _CONVERTER.unstructure(record)
        return document
    except (TypeError, AttributeError, ValueError):
        refusal = InvalidBatch(f"a {type(record).__name__} holds a value that cannot be stored")
    raise refusal  # outside the handler: the cause may show what it choked on


def changes_to_plain(before: Operation | Token, after: Operation | Token) -> dict[str, Any]:
    """The fields that differ, as :func:`to_plain` has them. InvalidBatch as there."""
    kind = type(after)
    try:
        return {
            name: _CONVERTER.unstructure(value, unstructure_as=_TYPES[kind.__name__][name])
            for name, value in ((field.name, getattr(after, field.name)) for field in attrs.fields(kind))
            if getattr(before, name) != value
        }
    except (TypeError, AttributeError, ValueError):
        refusal = InvalidBatch(f"a {kind.__name__} holds a value that cannot be stored")
    raise refusal  # outside the handler: the cause may show what it choked on


_TYPES: Final = {kind.__name__: get_type_hints(kind) for kind in (Operation, Token)}


def from_plain(kind: type[R], document: Any, name: str) -> R:
    """The record again; CorruptRecord naming ``name`` and the field if it does not fit exactly."""
    try:
        record: R = _CONVERTER.structure(document, kind)
        return record
    except Exception as error:  # noqa: BLE001 - whatever does not decode is corrupt
        refusal = corrupt(name, _path_of(error))
    raise refusal  # outside the handler: cattrs' errors quote values


def data_to_plain(data: Any) -> Any:
    """The data of an operation, an instance of its kind's class, or a part of them, as plain data."""
    return _CONVERTER.unstructure(data)


def data_from_plain(kind: type[D], document: Mapping[str, Any], name: str) -> D:
    """The data again; CorruptRecord naming ``name`` and the field (``data.<field>``) if it does not fit."""
    try:
        return _CONVERTER.structure(dict(document), kind)
    except Exception as error:  # noqa: BLE001 - whatever does not decode is corrupt
        path = _path_of(error)
        refusal = corrupt(name, f"data.{path}" if path else "data")
    raise refusal  # outside the handler: cattrs' errors quote values


def corrupt(name: str, field: str) -> CorruptRecord:
    """The error for a stored document that does not decode."""
    where = f", field {field}" if field else ""
    return CorruptRecord(f"stored {name} does not decode{where}", document=name, field=field)


def load_json(text: Any, name: str, field: str) -> Any:
    """Parsed JSON; CorruptRecord if it is not."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        refusal = corrupt(name, field)
    raise refusal
