"""The style sheet of the HTML page: one column, system fonts, light and dark, wide and narrow."""

from jobmeter.report.palette import DARK, LIGHT, css_variables

_SHADES_LIGHT = "--page:#f6f7f8;--good:#17713a;--bad:#b3232a;--warn:#8f4a08;--bold:#1b1f24;--shade:#1b1f2459;"
_SHADES_DARK = "--page:#0d0f12;--good:#5fd08a;--bad:#ff8080;--warn:#f0a452;--bold:#e8eaed;--shade:#e8eaed52;"

STYLE = (
    f"""
:root{{color-scheme:light dark;{css_variables(LIGHT)}{_SHADES_LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{css_variables(DARK)}{_SHADES_DARK}}}}}
"""
    + """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
  font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:880px;margin:0 auto;padding:32px 24px 40px}
header{margin-bottom:20px}
.over{margin:0 0 6px;color:var(--faint);font-size:13px}
h1{margin:0;font-size:26px;line-height:1.25;font-weight:650;letter-spacing:-.01em}
h1::before{content:"";display:inline-block;width:.5em;height:.5em;margin-right:.4em;border-radius:50%;
  background:currentColor;vertical-align:.1em}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.bold{color:var(--bold)}
.lead{margin:6px 0 0;font-size:17px}
.cause{margin:12px 0 0;padding:8px 12px;border-left:3px solid var(--bad);background:var(--paper)}
.cause b{margin-right:.5em}
h2{margin:36px 0 10px;font-size:17px;font-weight:650}
h3{margin:20px 0 6px;font-size:14px;font-weight:650}
.tiles{display:grid;grid-template-columns:repeat(var(--columns),1fr);gap:1px;margin:20px 0 0;padding:0;
  background:var(--grid);border:1px solid var(--grid);border-radius:8px;overflow:hidden}
.tiles>div{padding:12px 14px 14px;background:var(--paper)}
.tiles dt{color:var(--faint);font-size:13px}
.tiles dd{margin:0}
.tiles .value{font-size:22px;font-weight:600;line-height:1.3;letter-spacing:-.01em}
.tiles .sub{color:var(--faint);font-size:13px;line-height:1.4}
.bar{display:block;height:4px;margin:6px 0 5px;border-radius:2px;background:var(--grid);overflow:hidden}
.bar i{display:block;height:100%;border-radius:2px;background:currentColor}
.in-cpu{color:var(--cpu)}.in-memory{color:var(--memory)}.in-io{color:var(--io)}.in-throttled{color:var(--throttled)}
.in-limit{color:var(--limit)}.in-mark{color:var(--mark)}
.notes{margin:16px 0 0;padding:0;list-style:none}
.notes li{padding:6px 12px;margin-top:4px;border-left:3px solid var(--faint);background:var(--paper)}
.seen{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:12px;margin:14px 0 12px}
.seen figure{margin:0}
.notes li.warn{border-color:var(--throttled);color:inherit}
.card{padding:14px 16px;background:var(--paper);border:1px solid var(--grid);border-radius:8px}
figure{margin:0 0 12px}
figcaption{margin-bottom:10px}
figcaption b{font-size:15px}
figcaption p,figcaption details{margin:0;color:var(--faint);font-size:13px}
figcaption summary{padding:0;font-weight:400}figcaption code{overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:2px 0 0;padding:0;list-style:none;
  color:var(--faint);font-size:13px}
.legend i{display:inline-block;width:16px;margin-right:6px;border-top:2px solid;vertical-align:.28em}
.legend i.band{height:10px;border:0;background:currentColor;opacity:.35;vertical-align:-.05em}
.legend i.bar{height:10px;margin:0 6px 0 0;border:0;background:currentColor;opacity:.85;vertical-align:-.05em}
.legend i.thick{border-top-width:4px;vertical-align:.18em}
.legend i.dash{border-top-style:dashed}.legend i.dots{border-top-style:dotted}
figure svg{display:block;width:100%;height:auto;font-family:inherit}
.narrow{display:none}
.hint{fill:var(--text);fill-opacity:0;pointer-events:all}
.hint:hover{fill-opacity:.07}
.scroll{overflow-x:auto;background:
  linear-gradient(to right,var(--paper) 40%,transparent) 0 0/44px 100% no-repeat local,
  linear-gradient(to left,var(--paper) 40%,transparent) 100% 0/44px 100% no-repeat local,
  linear-gradient(to right,var(--shade),transparent) 0 0/16px 100% no-repeat scroll,
  linear-gradient(to left,var(--shade),transparent) 100% 0/16px 100% no-repeat scroll,var(--paper)}
table{width:100%;border-collapse:collapse;font-size:14px;line-height:1.4}
caption{padding:0 0 6px;text-align:left;font-weight:650}
th,td{padding:5px 0 5px 18px;text-align:right;vertical-align:baseline;white-space:nowrap;
  border-top:1px solid var(--grid);overflow-wrap:normal}
thead th{border-top:0;color:var(--faint);font-size:13px;font-weight:400;vertical-align:bottom}
th:first-child,td:first-child{padding-left:0}
th[scope=row]{font-weight:500;white-space:normal;min-width:7em;overflow-wrap:anywhere}
.left,th[scope=row],thead th:first-child{text-align:left}
td .bar{display:inline-block;width:72px;margin:0 0 0 10px;vertical-align:.15em}
table+table{margin-top:22px}
.nested{padding-left:1.2em!important}
details{margin-top:12px}
summary{cursor:pointer;font-weight:650;padding:4px 0}
.about td{text-align:left}
.about tbody th{width:38%;min-width:14em}
.about small{display:block;color:var(--faint);font-size:12.5px;font-weight:400;line-height:1.35;
  overflow-wrap:anywhere}
.about .group th{padding-top:18px;font-size:14px;font-weight:650}
.about dl{display:grid;grid-template-columns:max-content max-content;gap:0 10px;margin:0}
.about dt,.unknown{color:var(--faint)}
.about dd{margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:12px}
.facts dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:6px 0 0;font-size:14px}
.facts dt{color:var(--faint)}
.facts dd{margin:0}
.facts h3{margin:0}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
footer{margin-top:32px;color:var(--faint);font-size:13px}
@media (max-width:640px){
  main{padding:20px 14px 28px}
  h1{font-size:22px}.lead{font-size:16px}
  .tiles{grid-template-columns:1fr 1fr}
  .tiles>div:last-child:nth-child(odd){grid-column:1/-1}
  .tiles .value{font-size:19px}
  .card{padding:12px}
  .scroll th,.scroll td{padding-left:12px}
  .scroll th:first-child,.scroll td:first-child{padding-left:0}
  .wide{display:none}.narrow{display:block}
}
@media print{body{background:#fff}.card,.tiles{break-inside:avoid}}
"""
)
