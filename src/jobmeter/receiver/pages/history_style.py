"""What the pages of history add to the style sheet."""

HISTORY_STYLE = """
.followed{display:inline-flex;align-items:center;gap:10px;white-space:nowrap}
.followed .spark{width:64px;height:20px;margin:0}
.history td{vertical-align:middle}.history th[scope=row]{vertical-align:middle}
.history th[scope=row]{min-width:9em}
.runs td .bar{width:64px;margin:0 10px 0 0}
.runs thead a{color:inherit;text-decoration:none;border-bottom:1px dotted}
.runs thead a:hover,.runs thead a b{color:var(--text)}
.runs thead a b{font-weight:600}
.runs thead a b::after{content:" ↓"}
.runs input[type=radio]{width:18px;height:18px;margin:0;vertical-align:-3px;accent-color:var(--cpu)}
button.plain{padding:6px 14px;font:inherit;font-size:14px;color:var(--cpu);background:var(--paper);
  border:1px solid var(--cpu);border-radius:5px;cursor:pointer}
.legend i.point,.legend i.ring,.legend i.plus{width:9px;height:9px;border:0;border-radius:50%;
  background:currentColor;vertical-align:-.02em}
.legend i.ring{background:none;border:1.5px solid}
.legend i.plus{border-radius:0;
  clip-path:polygon(35% 0,65% 0,65% 35%,100% 35%,100% 65%,65% 65%,65% 100%,35% 100%,35% 65%,0 65%,0 35%,35% 35%)}
.notes a{white-space:nowrap}
.hinted{margin:0 0 10px;color:var(--faint);font-size:14px}
details.form{margin-top:8px;padding:8px 14px}
details.form pre{margin:8px 0 4px;overflow-x:auto;line-height:1.45}
@media (max-width:640px){
  .runs td .followed{display:inline-flex}
  .history th[scope=row]{min-width:9em}
.runs td .bar{display:none}
}
"""
