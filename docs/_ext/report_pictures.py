"""Takes the pictures of reports that the guides show, from data that equipoise generates itself.

    python docs/_ext/report_pictures.py [NAME ...]

It runs the commands of `PICTURES` (three CPU minutes for all), keeps one section of each report, and photographs it by
Chromium, which must be installed. The pictures are committed, because no build of the site and no CI has Chromium.
"""

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from bs4 import BeautifulSoup
from PIL import Image, ImageChops

STATIC = Path(__file__).parents[1] / "_static"
MOST = 150_000
"""Bytes of one picture."""
AUDIT = "audit arm --targets joint0,joint4,joint5"
FIT = "fit arm --targets joint0,joint4,joint5 --epochs 30 --trials 2"
TWO = "explore zdt2 --conditioned 500 --steps 300"
THREE = "explore arm --targets joint0,joint4,joint5 --epochs 10 --hidden 32 --sums 8 --tchebycheff 3 --seeds 2"
FOUR = "explore arm --targets joint0,joint2,joint4,joint5 --epochs 10 --hidden 32 --sums 10 --tchebycheff 3 --seeds 2"
PICTURES = {  # name -> the command, and the heading of the section that is shown; "" is the top of the page
    "audit-verdict": (AUDIT, ""),
    "audit-remedies": (AUDIT, "The remedies, and what each gives"),
    "fit-answer": (FIT, ""),
    "fit-trained": (FIT, "What was trained, and what it gives on held-out rows"),
    "fit-targets": (FIT, "Target by target: one model against separate ones"),
    "explore-answer": (TWO, ""),
    "explore-two": (TWO, "The front"),
    "explore-slider": (TWO, "One model for all preferences"),
    "explore-three": (THREE, "The front"),
    "explore-four": (FOUR, "The front"),
}


def report_of(command: str, folder: Path) -> Path:
    """Run a command of equipoise once, and return its report."""
    name = "".join(sign if sign.isalnum() else "-" for sign in command)
    if not (folder / name / "report.html").is_file():
        words = [sys.executable, "-m", "equipoise", *shlex.split(command), "--quiet", "--out", str(folder / name)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - words of this file
    return folder / name / "report.html"


def only(page: str, heading: str) -> str:
    """The page with one section alone: its heading and what follows, up to the next heading of that level."""
    soup = BeautifulSoup(page, "html.parser")
    if heading:
        titles = {title.get_text(strip=True): title for title in reversed(soup.main.find_all(["h2", "h3"]))}
        if heading not in titles:
            raise SystemExit(f"there is no section {heading!r}; there are {sorted(titles)}.")
        first, ends = titles[heading], {titles[heading].name}
    else:
        first, ends = soup.main.find(True), {"h2", "section", "article"}
        if first.name == "section":  # an audit's
            first = first.find(True)
    kept = [first]
    for sibling in first.find_next_siblings():
        if sibling.name in ends:
            break
        kept.append(sibling)
    soup.main.clear()
    soup.main.extend(kept)
    return str(soup)


def photograph(page: Path, size: tuple[int, int] = (1040, 2600)) -> Image.Image:
    """What Chromium shows of a page, without its margins."""
    with tempfile.TemporaryDirectory() as profile:
        picture = Path(profile) / "page.png"
        words = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
        words += f"--hide-scrollbars --virtual-time-budget=8000 --window-size={size[0]},{size[1]} "
        words += f"--user-data-dir={profile} --screenshot={picture} {page.as_uri()}"
        subprocess.run(["chromium", *words.split()], check=True, stderr=subprocess.DEVNULL)  # noqa: S603, S607
        whole = Image.open(io.BytesIO(picture.read_bytes())).convert("RGB")
    empty = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    left, top, right, bottom = ImageChops.difference(whole, empty).getbbox()
    return whole.crop((max(0, left - 16), max(0, top - 16), right + 16, bottom + 16))


def main(names: list[str]) -> None:
    """Take the named pictures, or all of them."""
    with tempfile.TemporaryDirectory() as place:
        for name in names or PICTURES:
            command, heading = PICTURES[name]
            page = Path(place) / f"{name}.html"
            page.write_text(only(report_of(command, Path(place)).read_text(), heading))
            small = photograph(page).quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            picture = STATIC / f"report-{name}.png"
            small.save(picture, optimize=True)
            print(picture, picture.stat().st_size)
            if picture.stat().st_size > MOST:
                raise SystemExit(f"{picture} has more than {MOST:,} bytes: show less of the page.")


if __name__ == "__main__":
    main(sys.argv[1:])
