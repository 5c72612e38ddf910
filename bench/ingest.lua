-- For wrk: every request is a run of its own. The body's "@@@" becomes its run_uid.
-- Arguments: the file of the body, what tells the runs of this wrk from others, and the token to send, if any.
local counts = {}

function setup(thread)
  table.insert(counts, thread)
end

function init(args)
  local file = assert(io.open(args[1]))
  local body = file:read("*a")
  file:close()
  local from, to = body:find("@@@", 1, true)
  head, tail, prefix, number, accepted = body:sub(1, from - 1), body:sub(to + 1), args[2], 0, 0
  headers = {["Content-Type"] = "application/json"}
  if args[3] then
    headers["Authorization"] = "Bearer " .. args[3]
  end
end

function request()
  number = number + 1
  return wrk.format("POST", "/api/v1/metrics", headers, head .. prefix .. number .. tail)
end

function response(status)
  if status == 201 then
    accepted = accepted + 1
  end
end

function done(summary)
  local total = 0
  for _, thread in ipairs(counts) do
    total = total + thread:get("accepted")
  end
  io.write(string.format("RESULT %d %d\n", total, summary.duration))
end
