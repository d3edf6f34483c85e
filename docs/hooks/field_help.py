"""The help text of a dataclass's field, as what the API pages say of it: a fact is written once."""

from __future__ import annotations

import ast

from griffe import Attribute, Class, Docstring, Extension

__all__ = ["FieldHelp"]


class FieldHelp(Extension):
    """Reads ``field(default=..., metadata={"help": ...})``."""

    def on_class_members(self, *, node: ast.AST | object, cls: Class, **_: object) -> None:
        """Give the fields of a class their help texts and their defaults."""
        for statement in getattr(node, "body", ()):
            is_field = isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Call)
            if not is_field or not isinstance(statement.target, ast.Name):
                continue
            arguments = {keyword.arg: keyword.value for keyword in statement.value.keywords}
            attribute = cls.members.get(statement.target.id)
            if not isinstance(arguments.get("metadata"), ast.Dict) or not isinstance(attribute, Attribute):
                continue
            metadata = arguments["metadata"]
            texts = {ast.literal_eval(key): value for key, value in zip(metadata.keys, metadata.values, strict=True)}
            if not isinstance(texts.get("help"), ast.Constant):
                continue
            attribute.docstring = Docstring(texts["help"].value, lineno=statement.lineno, parent=attribute)
            attribute.value = ast.unparse(arguments["default"]) if "default" in arguments else None
