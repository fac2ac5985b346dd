"""What every page of a report shares: one self-contained HTML file from a template and a plain dict.

The page loads nothing: styles, script, figures and plotly are inline, and a content security policy forbids every
fetch. Only two scripts may run, ours and plotly, named by their hash, so a name that slipped through the escaping
still could not act. Plotly is packed (5 MB are 2): our script unpacks it, and the browser checks its hash all the same.
"""

import base64
import functools
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from ..core.drawing.plot_parts import TEMPLATE

__all__ = ["render_page", "template_environment"]


def render_page(
    template: str,
    page: Mapping[str, Any],
    *,
    drawn: bool,
    styles: Sequence[str] = ("report.css",),
    scripts: Sequence[str] = (),
) -> str:
    """A page as HTML text. Same dict, same text: it holds no date and no random name.

    `template` extends ``page.html`` and shows `page`, in which everything is formatted. A page without figures
    (`drawn`) holds no script but those named in `scripts`. Of the style sheets later ones win.
    """
    environment = template_environment()
    environment.filters["inline_json"] = _inline_json
    environment.filters["breakable"] = _breakable
    loader = environment.loader
    assert loader is not None
    names = [*(["report.js"] if drawn else []), *scripts]
    ours = [loader.get_source(environment, name)[0] for name in names]
    packed, digest = _plotly() if drawn else ("", "")
    return environment.get_template(template).render(
        page=page,
        style=Markup("".join(loader.get_source(environment, name)[0] for name in styles)),  # noqa: S704 - our own files
        scripts=[Markup(text) for text in ours],  # noqa: S704 - our own file
        packed=packed,
        looks=TEMPLATE,
        policy=_policy([*map(_digest, ours), *([digest] if digest else [])]),
    )


def template_environment(**more: Any) -> jinja2.Environment:
    """Templates of this package: everything escaped, nothing undefined."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("equipoise.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **more,
    )


def _inline_json(value: Any) -> Markup:
    """JSON that may stand in a script element: no ``<``, ``>`` or ``&``, ASCII only, NaN refused."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line after an underscore, dot or slash, as a narrow column needs."""
    return Markup(re.sub(r"(?<=[_./])(?=\w)", "<wbr>", str(escape(name))))  # noqa: S704 - escaped here


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _policy(digests: Sequence[str]) -> str:
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _plotly() -> tuple[str, str]:
    """Plotly's own script, unchanged: deflated and in base64, and its hash."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - 5 MB, needed only where there are figures

    text: str = get_plotlyjs()
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode(), _digest(text)
