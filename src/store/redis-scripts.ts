/**
 * What is asked of a Redis store, in Lua: each script runs alone and whole, so a reader sees whole documents only and of two writers one wins.
 *
 *   doc        hash: revision, mark, release (the last), format, services (how many were ever added), count (how many there are), parts
 *   services   hash: name → its number in the order in which they were added, and the revision that wrote it last
 *   parts      hash: service and part (parts.ts) → JSON text
 *   undo       stream, the revision being the id: what it replaced
 *   audit      stream, the revision being the id: its line and its mark
 *   named      hash: small values by name
 *   observed   hash: service → what the process that leads has seen
 *   instances  hash: id → when it was heard of last, and what it says of itself; or `left` and when
 *   leader     who leads, with a life time; `fence` is the number of the last lead
 *   counts, seats   what instances say to each other while a rollout runs (redis-counts.ts), with a life time; `counted` is their channel
 *
 * All keys have one hash tag, so that a Cluster has them on one node. A commit says the new revision on the channel `changes`, which is
 * a hint only: nobody relies on having heard it.
 */
import { NEEDED } from './named-values.ts'

/** Keys by name; `prefix` ends with the hash tag and a colon. */
export const keysOf = (prefix: string) => ({
  doc: `${prefix}doc`,
  services: `${prefix}services`,
  parts: `${prefix}parts`,
  undo: `${prefix}undo`,
  audit: `${prefix}audit`,
  named: `${prefix}named`,
  observed: `${prefix}observed`,
  leader: `${prefix}leader`,
  fence: `${prefix}fence`,
  instances: `${prefix}instances`,
  changes: `${prefix}changes`,
  counts: `${prefix}counts`,
  counted: `${prefix}counted`,
  seats: `${prefix}seats`,
})
export type Keys = ReturnType<typeof keysOf>

/** Between a service and a part in a field of `parts`; no name holds one. */
export const PART_MARK = '\n'

/**
 * Of the keys of a script the first four are doc, services, parts and named. Where a part of a document is gone it stands at DAMAGED (store.ts): `count`
 * says how many services there must be, `parts` how many parts and `named` how many of the named values that a start needs, both after the revision that
 * they were written with, since an older Turnout does not write them. Of the named values there may be more by now.
 */
const POSITION = `
  local function needed()
    local count = 0
    for _, name in ipairs({'${NEEDED.join("', '")}'}) do count = count + redis.call('HEXISTS', KEYS[4], name) end
    return count
  end
  local function position(anyNamed)
    local at = redis.call('HMGET', KEYS[1], 'revision', 'mark', 'count', 'parts', 'named')
    local services, parts = redis.call('HLEN', KEYS[2]), redis.call('HLEN', KEYS[3])
    local function least(text)
      local of, count = string.match(text or '', '^(%d+) (%d+)$')
      return of and of == at[1] and tonumber(count) or nil
    end
    local revision, its = tonumber(at[1] or '0'), least(at[4])
    if not revision or (not at[1] and services + parts > 0) or (at[3] and tonumber(at[3]) ~= services)
      or (its and its ~= parts) or (not anyNamed and needed() < (least(at[5]) or 0)) then return 0, 'damaged' end
    return revision, at[2] or ''
  end
`

/** KEYS: doc, services, parts, named. Returns [revision, mark]. */
export const WHERE = `${POSITION}
  return {position()}
`

/**
 * KEYS: doc, services, parts, named, audit. ARGV: revision and mark that the reader has already, -1 for none.
 * Returns [revision, mark, last release, format, [name, 'number revision', …], [service and part, text, …], the mark that
 * the reader's revision has here, '' where it is not known]; of the parts, only those of services that were written since.
 */
export const LOAD = `${POSITION}
  local revision, mark = position()
  local since = tonumber(ARGV[1])
  local line = since > 0 and redis.call('XRANGE', KEYS[5], ARGV[1] .. '-0', ARGV[1] .. '-0')[1]
  local there = line and line[2][4] or ''
  if there == '' or there ~= ARGV[2] then since = -1 end
  local services = redis.call('HGETALL', KEYS[2])
  local parts = {}
  for i = 1, #services, 2 do
    if tonumber(string.match(services[i + 1], ' (%d+)$')) > since then
      for _, part in ipairs({'routes', 'rules', 'spec', 'intent'}) do
        local field = services[i] .. '\\n' .. part
        local text = redis.call('HGET', KEYS[3], field)
        if text then parts[#parts + 1] = field; parts[#parts + 1] = text end
      end
    end
  end
  local more = redis.call('HMGET', KEYS[1], 'release', 'format')
  return {revision, mark, more[1] or '0', more[2] or '0', services, parts, there}
`

/**
 * KEYS: doc, services, parts, named, undo, audit. ARGV: a revision. Returns [revision of the document, the line in the audit or '', services
 * as `LOAD` has them, all parts, the undos of the later revisions, newest first]. Without all of these it is not known any more, as without its line.
 */
export const REVISION = `${POSITION}
  local id = ARGV[1] .. '-0'
  local line = redis.call('XRANGE', KEYS[6], id, id)[1]
  local undos = {}
  for i, undo in ipairs(redis.call('XREVRANGE', KEYS[5], '+', '(' .. id)) do undos[i] = undo[2][2] end
  if #redis.call('XRANGE', KEYS[6], '(' .. id, '+', 'COUNT', #undos + 1) > #undos then line = nil end
  local parts = redis.call('HGETALL', KEYS[3])
  return {(position()), line and line[2][2] or '', redis.call('HGETALL', KEYS[2]), parts, undos}
`

/**
 * KEYS: doc, services, parts, named, undo, audit, fence. ARGV: revision and mark that the store must stand at, channel, the new revision and
 * mark, format, last release, line of the audit, undo, lowest revision that keeps an undo and a line, '1' when every service counts
 * as written, number of named values and of parts, number of the lead after which there may be none (0: anybody may write); then key and value of each, and service, part and text (empty: gone) of each.
 * Returns [1], [0, revision, the mark that the new revision has in the audit, or ''] where it stands elsewhere, or [2] where somebody else has led since.
 */
export const COMMIT = `${POSITION}
  local revision, mark = position()
  -- What fails later leaves what was written before it: a key of another type is to fail here.
  redis.call('XLEN', KEYS[5])
  redis.call('XLEN', KEYS[6])
  if ARGV[15] ~= '0' and tonumber(redis.call('GET', KEYS[7]) or '0') > tonumber(ARGV[15]) then return {2} end
  local new = ARGV[4]
  local id = new .. '-0'
  local line = redis.call('XRANGE', KEYS[6], id, id)[1]
  if revision ~= tonumber(ARGV[1]) or mark ~= ARGV[2] then return {0, revision, line and line[2][4] or ''} end
  if mark == 'damaged' then redis.call('DEL', KEYS[1], KEYS[2], KEYS[3]) end
  redis.call('HSET', KEYS[1], 'revision', new, 'mark', ARGV[5], 'format', ARGV[6], 'release', ARGV[7])
  local function add(stream, ...)
    if type(redis.pcall('XADD', stream, id, ...)) ~= 'table' then return end
    -- It has outlived the document, and what was lost of that is to be written again.
    for _, later in ipairs(redis.call('XRANGE', stream, id, '+')) do redis.call('XDEL', stream, later[1]) end
    redis.call('XSETID', stream, string.format('%.0f-0', new - 1))
    redis.call('XADD', stream, id, ...)
  end
  if not (line and line[2][4] == ARGV[5]) then
    add(KEYS[6], 'line', ARGV[8], 'mark', ARGV[5])
    add(KEYS[5], 'undo', ARGV[9])
  end
  redis.call('XTRIM', KEYS[5], 'MINID', ARGV[10] .. '-0')
  redis.call('XTRIM', KEYS[6], 'MINID', ARGV[11] .. '-0')
  local at = 16
  for _ = 1, tonumber(ARGV[13]) do
    redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  for _ = 1, tonumber(ARGV[14]) do
    local service, part, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    at = at + 3
    local field = service .. '\\n' .. part
    if text == '' then redis.call('HDEL', KEYS[3], field) else redis.call('HSET', KEYS[3], field, text) end
    local known = redis.call('HGET', KEYS[2], service)
    if redis.call('HEXISTS', KEYS[3], service .. '\\nspec') == 0 and part == 'spec' then
      redis.call('HDEL', KEYS[2], service)
    elseif known or text ~= '' then
      local number = known and string.match(known, '^%d+') or redis.call('HINCRBY', KEYS[1], 'services', 1)
      redis.call('HSET', KEYS[2], service, number .. ' ' .. new)
    end
  end
  if ARGV[12] == '1' then
    local services = redis.call('HGETALL', KEYS[2])
    for i = 1, #services, 2 do
      redis.call('HSET', KEYS[2], services[i], string.match(services[i + 1], '^%d+') .. ' ' .. new)
    end
  end
  redis.call('HSET', KEYS[1], 'count', redis.call('HLEN', KEYS[2]), 'parts', new .. ' ' .. redis.call('HLEN', KEYS[3]),
    'named', new .. ' ' .. needed())
  redis.call('PUBLISH', ARGV[3], new)
  return {1}
`

/**
 * KEYS: leader, fence. ARGV: who asks, ms, the number that we led with last or 0, that of another one which is known to have led since, or 0, and that of
 * the last one that is known to have led. Takes the lead where nobody has it, and renews our own. Returns the number of the lead; less than 0 while another one leads, which is its number; or 0 where the
 * store has lost that other one: it comes back to it, with what it alone knows of its rollouts, or its lease ends. The number only grows, also in a Redis
 * that has lost it: so it is the time, or more. It stays the same for who had it last and gets it again, since nobody else can have had it in between.
 */
export const LEAD = `
  local held = redis.call('GET', KEYS[1])
  local number = held and string.match(held, ' (%d+)$')
  -- Redis may have lost it alone.
  if number and tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(number) then redis.call('SET', KEYS[2], number) end
  if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return tonumber(string.sub(held, #ARGV[1] + 2))
  end
  if held then return -tonumber(number or '1') end
  local last, fence = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[3])
  if last < tonumber(ARGV[4]) then return 0 end
  if fence == 0 or last > fence then
    local time = redis.call('TIME')
    fence = math.max(last + 1, tonumber(ARGV[5]) + 1, time[1] * 1000 + math.floor(time[2] / 1000))
  end
  local text = string.format('%.0f', fence)
  redis.call('SET', KEYS[2], text)
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. text, 'PX', ARGV[2])
  return fence
`

/**
 * KEYS: doc, services, parts, named, instances. ARGV: ms, 1 or 0. Takes a document as whole of which nothing but named values is gone; with 0 it only
 * tells. Returns 1, 0 where it is another part that is gone, or 2 where an instance was heard of in that time: it has them, and writes them again.
 */
export const WITHOUT_NAMED = `${POSITION}
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, text in ipairs(redis.call('HVALS', KEYS[5])) do
    local at = string.match(text, '^(%d+) ')
    if at and math.abs(now - tonumber(at)) <= tonumber(ARGV[1]) then return 2 end
  end
  local revision, mark = position(true)
  if mark == 'damaged' then return 0 end
  if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'named', string.format('%.0f ', revision) .. needed()) end
  return 1
`

/** KEYS: named, fence. ARGV: number of the lead after which there may be none, key, value. Returns 1, or 0 where somebody else has led since. */
export const PUT_AS_LEADER = `
  if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[1]) then return 0 end
  if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[2]) else redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end
  return 1
`

/** KEYS: leader. ARGV: who asks. Gives the lead back, if it is ours. */
export const RESIGN = `
  local held = redis.call('GET', KEYS[1])
  if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then redis.call('DEL', KEYS[1]) end
  return 1
`

/**
 * KEYS: instances, seats. ARGV: id, what it says of itself, ms. Notes it by the clock of Redis, forgets who has said nothing for so long, and returns
 * that clock in ms, of each, with it, the time and what it says of itself, and the ids of those that have left. Notes since when there are seats, too (redis-counts.ts).
 */
export const ANNOUNCE = `
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
  redis.pcall('HSETNX', KEYS[2], 'since', now)
  local all, told, left = redis.call('HGETALL', KEYS[1]), {}, {}
  for i = 1, #all, 2 do
    local at, leftAt = string.match(all[i + 1], '^(%d+) '), string.match(all[i + 1], '^left (%d+)$')
    local last = tonumber(at or leftAt)
    if not last or math.abs(tonumber(now) - last) > tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], all[i])
    elseif at then
      told[#told + 1] = all[i + 1]
    else
      left[#left + 1] = all[i]
    end
  end
  return {now, told, left}
`

/** KEYS: instances. ARGV: id. Notes that it has left: one that is missing without that may be there still. */
export const LEAVE = `
  local time = redis.call('TIME')
  return redis.call('HSET', KEYS[1], ARGV[1], 'left ' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
`
