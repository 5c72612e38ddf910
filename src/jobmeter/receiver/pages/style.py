"""The style sheet of the receiver's pages: that of the report, and what its frame, its lists and charts need."""

from jobmeter.receiver.pages.history_style import HISTORY_STYLE
from jobmeter.report.html_style import STYLE

PAGE_STYLE = (
    STYLE
    + """
a{color:var(--cpu);text-underline-offset:2px}
:focus-visible{outline:2px solid var(--cpu);outline-offset:2px;border-radius:2px}
[hidden]{display:none!important}
main,.top{max-width:1120px;margin:0 auto;padding-left:24px;padding-right:24px}
main{padding-top:20px}
.top{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;gap:4px 24px;
  padding-top:14px;font-size:14px}
.top nav{display:flex;flex-wrap:wrap;gap:4px 20px;align-items:baseline}
.top b{font-size:15px;margin-right:4px}
.top a{color:var(--faint);text-decoration:none;padding:4px 0 6px;border-bottom:2px solid transparent}
.top a:hover{color:var(--text)}
.top a[aria-current]{color:var(--text);border-color:var(--cpu);font-weight:600}
.skip{position:absolute;left:8px;top:-60px;padding:8px 12px;background:var(--paper);z-index:3}
.skip:focus{top:8px}
.trail{margin-bottom:14px;font-size:13px;color:var(--faint)}
.trail ol{display:flex;flex-wrap:wrap;margin:0;padding:0;list-style:none}
.trail li+li::before{content:"/";margin:0 8px;color:var(--faint)}
h1.plain::before{display:none}
.runs th[scope=row]{white-space:normal;min-width:20em}
.runs td:empty::after{content:"–";color:var(--faint)}
.runs small{display:block;color:var(--faint);font-weight:400}
.now th[scope=row]{min-width:14em}
.now td small{white-space:nowrap}
.now .bar{display:inline-block;width:72px;margin:0 12px 0 0;vertical-align:.15em}
.spark{display:inline-block;width:120px;height:24px;margin-right:12px;vertical-align:-6px;overflow:visible}
.spark path{fill:none;stroke:currentColor;stroke-width:1.4;vector-effect:non-scaling-stroke}
.spark .fill{fill:currentColor;fill-opacity:.16;stroke:none}
.notes[data-events]{margin:0 0 14px}
.notes:empty{display:none}
.lead{font-size:16px}
[data-live]+.hinted{margin-top:12px}
h1.plain+.lead{margin-bottom:16px;color:var(--faint);font-size:15px}
.filter{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0}
.filter label{flex:1 1 9em;color:var(--faint);font-size:13px}
.filter input,.filter select{display:block;width:100%;height:33px;margin-top:2px;padding:5px 7px;
  font:inherit;font-size:14px;color:var(--text);background:var(--paper);border:1px solid var(--faint);border-radius:5px}
.filter ::placeholder{color:var(--faint);opacity:.8}
.filter button{align-self:end;padding:6px 16px;font:inherit;font-size:14px;color:var(--paper);
  background:var(--cpu);border:0;border-radius:5px;cursor:pointer}
.pager{display:flex;flex-wrap:wrap;gap:16px;margin-top:14px;font-size:14px}
.drawn{min-height:170px}
.drawn:has(svg){min-height:0}
.chart img{display:block;width:100%;height:auto}
#vg-tooltip-element{position:fixed;z-index:4;visibility:hidden;padding:5px 9px;max-width:min(420px,90vw);
  color:var(--text);background:var(--paper);border:1px solid var(--faint);border-radius:5px;font-size:13px}
#vg-tooltip-element.visible{visibility:visible}
#vg-tooltip-element h2{margin:0;font:inherit}
@media (max-width:640px){
  main,.top{padding-left:14px;padding-right:14px}
  .top b{display:none}
  .runs thead{display:none}
  .runs,.runs tbody,.runs tr,.runs th,.runs td{display:block}
  .runs tr{padding:8px 0;border-top:1px solid var(--grid)}
  .runs tr:first-child{border-top:0}
  .runs th[scope=row]{min-width:0}
  .runs th,.runs td{padding:0;border:0;text-align:left;white-space:normal}
  .runs td{display:inline-block;margin-right:12px;font-size:13px}
  .runs td small{display:inline}
  .runs td::before{content:attr(data-label) " ";color:var(--faint)}
  .runs td:empty{display:none}
  .now td .spark,.now td .bar{display:none}
  .now td{display:flex;gap:8px;align-items:baseline;margin:0}
  .now td::before{flex:0 0 8em}
}
@media (scripting:none){.drawn{display:none}}
"""
    + HISTORY_STYLE
)
