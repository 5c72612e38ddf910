"""The style sheet of the receiver's pages: that of the report, and what lists of runs and plots need."""

from jobmeter.report.html_style import STYLE

PAGE_STYLE = (
    STYLE
    + """
a{color:var(--cpu);text-underline-offset:2px}
nav{margin-bottom:18px;font-size:14px;display:flex;gap:16px;flex-wrap:wrap}
h1.plain::before{display:none}
.runs td,.runs th{white-space:nowrap}
.runs th[scope=row]{white-space:normal;min-width:20em}
main:has(.runs){max-width:1180px}
.runs small{display:block;color:var(--faint);font-weight:400}
.filter{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0}
.filter label{flex:1 1 9em;color:var(--faint);font-size:13px}
.filter input,.filter select{display:block;width:100%;margin-top:2px;padding:5px 7px;font:inherit;font-size:14px;
  color:var(--text);background:var(--paper);border:1px solid var(--faint);border-radius:5px}
.filter ::placeholder{color:var(--faint);opacity:.7}
.filter button{align-self:end;padding:6px 16px;font:inherit;font-size:14px;color:var(--paper);
  background:var(--cpu);border:0;border-radius:5px;cursor:pointer}
:focus-visible{outline:2px solid var(--cpu);outline-offset:2px}
.pager{margin-top:14px}
.plot{margin-top:10px;display:grid;grid-template-columns:5em minmax(0,1fr);gap:0 8px}
.plot p{grid-column:1/-1;margin:0 0 2px;font-size:13px;color:var(--text)}
figure .plot svg{display:block;width:100%;height:84px;background:var(--page);border-bottom:1px solid var(--faint)}
.scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right}
.scale,.names,.axis{color:var(--faint);font-size:12px;line-height:1.3}
.names{grid-column:2;position:relative;height:1.4em}
.names span{position:absolute;overflow:hidden;white-space:nowrap;text-overflow:ellipsis;padding-right:4px}
.plot path{vector-effect:non-scaling-stroke;stroke-width:1.4;fill:none}
.plot .band{fill:currentColor;fill-opacity:.2}
.plot .area{fill:currentColor;fill-opacity:.22}
.plot .line{stroke:currentColor}
.plot .limit{stroke:var(--limit);stroke-dasharray:5 4}
.plot .mark{stroke:var(--mark);stroke-dasharray:1 3}
.axis{grid-column:2;display:flex;justify-content:space-between}
@media (max-width:640px){
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
}
"""
)
