/* How a report looks: light or dark as the reader's system is, and on paper. No script. */
#include "search/cli/report.h"

static const char *const lines[] = {
    ":root{--bg:#fff;--fg:#1c2024;--dim:#65707b;--line:#dfe3e8;--card:#f6f8fa;--good:#1a7f4b;",
    "--bad:#b3412e;--accent:#2563c9;--bar:#cfe3d8;--s0:#eef3fb;--s1:#2563c9}",
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e3e7eb;--dim:#97a1ac;",
    "--line:#2e353c;--card:#1c2126;--good:#52c48a;--bad:#e68170;--accent:#7fb0ff;--bar:#1f4634;",
    "--s0:#1b2533;--s1:#5b92ea}}",
    "*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:2rem 1.25rem 4rem;",
    "background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}",
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.4rem 0 .6rem}",
    ".dim,figcaption,th{color:var(--dim)}code,pre,.id{font-family:ui-monospace,monospace;",
    "font-size:.87em}.hero{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}",
    ".hero div{background:var(--card);border:1px solid var(--line);border-radius:8px;",
    "padding:.7rem 1rem;flex:1 1 9rem}.hero b{display:block;font-size:1.45rem;line-height:1.3}",
    ".hero .main{flex-basis:16rem}.hero .main b{color:var(--good)}",
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.3rem 0}",
    "th{font-weight:500;text-align:left;border-bottom:1px solid var(--line)}",
    "th,td{padding:.28rem .9rem .28rem 0;vertical-align:top}td{border-bottom:1px solid ",
    "var(--line)}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}",
    ".n+td:not(.n),.n+th:not(.n){padding-left:.6rem}td[style]{background:linear-gradient(var(--bar)"
    ",var(--bar)) "
    "no-repeat right bottom/",
    "var(--w) 100%}",
    "pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.9rem;",
    "overflow-x:auto;line-height:1.4;tab-size:4}summary{cursor:pointer;color:var(--accent)}",
    "figure{margin:.5rem 0}svg{max-width:100%;height:auto;display:block}",
    "svg text{fill:var(--dim);font:12px system-ui,sans-serif}",
    ".grid{stroke:var(--line)}.one{stroke:var(--dim);stroke-dasharray:4 3}",
    ".bestline{fill:none;stroke:var(--good);stroke-width:2}",
    ".no{fill:none;stroke:var(--dim);stroke-width:5;stroke-linecap:round;opacity:.5}",
    ".fail{fill:none;stroke:var(--bad);stroke-width:1.2;opacity:.55}.yes{fill:var(--accent)}",
    ".maps{display:flex;flex-wrap:wrap;gap:1.2rem}.empty{fill:none;stroke:var(--line)}",
    ".cell{stroke:var(--line)}.lo{fill:var(--s0)}.hi{fill:var(--s1)}svg .on{fill:var(--fg)}",
    "svg .onhi{fill:#fff}",
    "@media print{body{max-width:none;padding:0}details{display:none}}"};

void kds_report_style(kds_buf *b)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        kds_buf_puts(b, lines[i]);
        kds_buf_putc(b, '\n');
    }
}
