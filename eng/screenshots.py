#!/usr/bin/env python3
"""Writes docs/images/{plan-terminal,apply,status,plan}.png: kbr on the lab as an operator sees it, on a terminal and in a browser.

    KBR_LAB=b eng/screenshots.py        on a lab that is up, with the cluster of lab/cluster-ha.yaml installed; changes two values there and back

Needs Debian's chromium and python3-pyte, which is only to look at pictures: neither kbr nor its tests use them."""

import fcntl, html, os, pathlib, pty, select, struct, subprocess, sys, tempfile, termios, time

try:
    import pyte
except ModuleNotFoundError:
    sys.path.append("/usr/lib/python3/dist-packages")
    import pyte

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAB = ROOT / "lab" / os.environ.get("KBR_LAB", "")
KBR = os.environ.get("KBR_TOOL", str(ROOT / "artifacts/publish/kbr/release_linux-x64/kbr"))
COLUMNS, ROWS, SECONDS = 112, 200, 600
COLORS = {"red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff", "cyan": "#76e3ea", "magenta": "#d2a8ff", "white": "#c9d1d9", "default": "#e6edf3"}
STYLE = "body{margin:0;background:#0d1117;color:#e6edf3}pre{margin:14px;font:14px/1.35 'DejaVu Sans Mono',monospace}b{font-weight:700}"


def terminal(*words, until=None):
    """The rows of a terminal in which that was run to its end, or until a text is there."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    child, handle = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES="40")
        os.chdir(LAB)
        os.execv(KBR, [KBR, *words])
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not (until and any(until in row for row in screen.display)):
        if select.select([handle], [], [], 0.2)[0]:
            try:
                data = os.read(handle, 65536)
            except OSError:
                break
            if not data:
                break
            stream.feed(data)
    lines = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(ROWS)]
    while lines and not "".join(cell.data for cell in lines[-1]).strip():
        lines.pop()
    if until:
        # It goes on to its end without being looked at.
        while True:
            try:
                if not os.read(handle, 65536):
                    break
            except OSError:
                break
    os.close(handle)
    os.waitpid(child, 0)
    return lines


def page(prompt, lines):
    """Rows of cells as a page."""
    shown = [f'<b style="color:#8b949e">$ {html.escape(prompt)}</b>']
    for cells in lines:
        row = ""
        width = len("".join(cell.data for cell in cells).rstrip())
        for cell in cells[:width]:
            color = COLORS.get(cell.fg, COLORS["default"])
            weight = ";font-weight:700" if cell.bold else ""
            row += f'<span style="color:{color}{weight}">{html.escape(cell.data)}</span>'
        shown.append(row)
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><pre>" + "\n".join(shown) + "</pre>", len(shown)


def picture(name, source, width, height):
    """A page as docs/images/NAME.png."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "page.html"
        file.write_text(source, encoding="utf-8")
        target = ROOT / "docs/images" / f"{name}.png"
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}", f"--screenshot={target}", file.as_uri()],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
        )
        print(target.relative_to(ROOT))


def shot(name, prompt, *words, until=None, last=None):
    source, rows = page(prompt, terminal(*words, until=until)[-last if last else 0:])
    picture(name, source, 980, 19 * rows + 34)


changed = LAB / "screenshots.yaml"
changed.write_text((LAB / "cluster-ha.yaml").read_text().replace("max_db_connections: 40", "max_db_connections: 35").replace("work_mem: 8MB", "work_mem: 9MB\n    max_connections: 110"))
try:
    shot("plan-terminal", "kbr plan", "plan", "-c", changed.name)
    document = subprocess.run([KBR, "plan", "-c", changed.name, "--format", "html"], cwd=LAB, capture_output=True, text=True, check=True).stdout
    picture("plan", document, 760, 1500)
    picture("plan-phone", document, 500, 1500)
    shot("apply", "kbr apply --auto-approve", "apply", "--auto-approve", "-c", changed.name, until="switching over", last=24)
    shot("status", "kbr status", "status", "-c", changed.name)
finally:
    subprocess.run([KBR, "apply", "--auto-approve", "-c", "cluster-ha.yaml"], cwd=LAB, stdout=subprocess.DEVNULL, check=False)
    changed.unlink()
