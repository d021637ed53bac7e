#!/usr/bin/env python3
"""Shows what benches/peers.sh measured.

    benches/peers.py RESULTS.csv             the table
    benches/peers.py RESULTS.csv --json      the same for programs
    benches/peers.py RESULTS.csv --render    writes the table into docs/performance.md and draws docs/performance.svg

Of several rounds the median counts.
"""
import csv
import json
import statistics
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PAGE = HOME / "docs/performance.md"
PLOT = HOME / "docs/performance.svg"
BEGIN, END = "<!-- figures: written by benches/peers.py -->", "<!-- end of figures -->"

SCENARIOS = {
    "unix": "unix datagrams, one file",
    "udp": "UDP, 100,000 a second",
    "udp-flood": "UDP, as fast as can be sent",
    "tcp": "TCP, lines, 4 connections",
    "tcp-counted": "TCP, counted frames, 4 connections",
    "tcp-500": "TCP, lines, 500 connections",
    "rules-13": "Debian's 13 rules, unix datagrams",
    "rules-100": "100 rules, one of which takes it",
}
TARGETS = {
    "ours": "this syslogd",
    "rsyslog": "rsyslog, direct queue",
    "rsyslog-default": "rsyslog, default",
    "syslog-ng": "syslog-ng, tuned",
    "syslog-ng-default": "syslog-ng, default",
    "inetutils": "inetutils",
    "busybox": "busybox",
    "sink": "*sink* (limit)",
}
COLOURS = {
    "ours": "#c0392b",
    "rsyslog": "#2c6fad",
    "rsyslog-default": "#8fb8de",
    "syslog-ng": "#3b8b4f",
    "syslog-ng-default": "#a3d1ae",
    "inetutils": "#8e6fb5",
    "busybox": "#c9a227",
    "sink": "#9a9a9a",
}


def read(path):
    """The notes at the top, and the medians of each scenario and daemon."""
    lines = Path(path).read_text().splitlines()
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    runs = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("# ")):
        sent, received = int(row["sent"]), int(row["received"])
        if not received:
            continue
        runs.setdefault((row["scenario"], row["target"]), []).append({
            "rate": received / float(row["seconds"]) if float(row["seconds"]) else 0.0,
            "cpu_us": float(row["cpu_seconds"]) / received * 1e6,
            "lost": (sent - received) / sent,
            "peak_mib": int(row["peak_kib"]) / 1024,
        })
    medians = {
        key: {name: statistics.median(run[name] for run in some) for name in some[0]} | {"rounds": len(some)}
        for key, some in runs.items()
    }
    return notes, medians


def ratios(medians, scenario):
    """Our CPU for each message to that of the best peer, and to the sink's; our rate to the best peer's."""
    ours = medians.get((scenario, "ours"))
    sink = medians.get((scenario, "sink"))
    peers = [medians[scenario, name] for name in TARGETS
             if name not in ("ours", "sink") and (scenario, name) in medians]
    if not ours:
        return None, None, None
    # A daemon that loses messages was spared the work of writing them: it still counts, as it is.
    cpu = ours["cpu_us"] / min(peer["cpu_us"] for peer in peers) if peers else None
    rate = ours["rate"] / max(peer["rate"] for peer in peers) if peers else None
    return cpu, rate, ours["cpu_us"] / sink["cpu_us"] if sink and sink["cpu_us"] else None


def table(notes, medians):
    out = ["| scenario | daemon | rate, msg/s | CPU, µs/msg | lost | peak RSS, MiB |", "|---|---|---:|---:|---:|---:|"]
    summary = [
        "| scenario | CPU: ours ÷ best peer | rate: ours ÷ best peer | CPU: ours ÷ sink |", "|---|---:|---:|---:|"]
    for scenario, title in SCENARIOS.items():
        if not any(key[0] == scenario for key in medians):
            continue
        for target, name in TARGETS.items():
            found = medians.get((scenario, target))
            if not found:
                continue
            lost = f"{found['lost']:.2%}" if found["lost"] else "0"
            name = f"**{name}**" if target == "ours" else name
            out.append(f"| {title} | {name} | {found['rate']:,.0f} | {found['cpu_us']:.2f} | {lost} | {found['peak_mib']:.1f} |")
            title = ""
        cells = ["–" if ratio is None else f"{ratio:.2f}" for ratio in ratios(medians, scenario)]
        summary.append(f"| {SCENARIOS[scenario]} | " + " | ".join(cells) + " |")
    about = [f"{key.capitalize()}: {value}." for key, value in notes.items()]
    return "\n".join([*about, "", *summary, "", *out])


def plot(notes, medians):
    """Two rows of bars for each scenario: CPU for each message, and rate."""
    shown = [name for name in SCENARIOS if any(key[0] == name for key in medians)]
    panel, bar, left, gap = 360, 13, 230, 18
    names = [name for name in TARGETS if any(key[1] == name for key in medians)]
    rows, y = [], 76
    most_cpu = 12.0  # what is longer is cut, with its figure beside it
    most_rate = max(found["rate"] for found in medians.values())
    for scenario in shown:
        height = bar * sum((scenario, name) in medians for name in names)
        rows.append(f'<text x="{left - 8}" y="{y + height / 2 + 4:.0f}" text-anchor="end">{SCENARIOS[scenario]}</text>')
        for name in names:
            found = medians.get((scenario, name))
            if not found:
                continue
            for x, value, most, label in (
                (left, found["cpu_us"], most_cpu, f"{found['cpu_us']:.2f}"),
                (left + panel + 70, found["rate"], most_rate, f"{found['rate'] / 1000:,.0f}"),
            ):
                width = min(value / most, 1) * panel
                cut = " …" if value > most else ""
                rows.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
                rows.append(f'<text class="n" x="{x + width + 4:.1f}" y="{y + bar - 4}">{label}{cut}</text>')
            y += bar
        y += gap
    legend, x = [], left
    for name in names:
        text = TARGETS[name].replace("*", "")
        legend.append(f'<rect x="{x}" y="14" width="11" height="11" fill="{COLOURS[name]}"/>'
                      f'<text x="{x + 15}" y="24">{text}</text>')
        x += 30 + 6.4 * len(text)
    heads = [f'<text class="h" x="{left}" y="60">CPU for each message, µs (less is better)</text>',
             f'<text class="h" x="{left + panel + 70}" y="60">rate, thousand messages a second (more is better)</text>']
    width = max(left + 2 * panel + 130, int(x))
    style = "text{font:12px sans-serif;fill:#333}.n{font-size:10px}.h{font-weight:bold}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 24}" width="{width}" height="{y + 24}">'
            f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
            + "\n".join(legend + heads + rows)
            + f'<text class="n" x="{left}" y="{y + 10}">{notes.get("machine", "")}; {notes.get("date", "")}</text></svg>\n')


def main():
    path, *options = sys.argv[1:] or sys.exit(__doc__)
    notes, medians = read(path)
    if "--render" in options:
        before, rest = PAGE.read_text().split(BEGIN)
        _, after = rest.split(END)
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(notes, medians)}\n\n{END}{after}")
        PLOT.write_text(plot(notes, medians))
    elif "--json" in options:
        results = [{"scenario": key[0], "target": key[1], **found} for key, found in medians.items()]
        print(json.dumps({"notes": notes, "results": results}, indent=1))
    else:
        print(table(notes, medians))


main()
