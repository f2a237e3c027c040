/** The Lua scripts of streams: publish, read, begin another epoch. */
import { TIME } from "./time.ts";

/** Error code of a script whose caller has an outdated identity of the server: the server's role has changed. */
export const STALE = "SWITCHBOARDSTALE";

/**
 * The meta of a stream is: epoch (16 bytes), identity of the server (16), then three big-endian doubles: top offset,
 * time at which the list expires, time at which the meta expires.
 *
 * Both keys are kept for half as long again as they must be, so that only a publication of the second half of that time
 * renews them: `EXPIRE` costs as much as an append. `mustRenew` says when, also when the time itself has changed.
 *
 * `trusted` returns a meta, or false for one that isn't there or that another server wrote: the stream begins another
 * epoch then. Only for such a meta it checks whether the caller's identity is the wrong one, because that takes long.
 * It returns nil for a wrong identity, and the script answers `stale`.
 */
const META = `
${TIME}
local stale = redis.error_reply('${STALE} the server has changed')
local isChecked = false
local pack, unpackBytes, sub = struct.pack, struct.unpack, string.sub
local function trusted(meta)
  if not meta or #meta ~= 56 then return false end
  if sub(meta, 17, 32) == ARGV[1] then return meta end
  if not isChecked then
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
    local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
    if sub(redis.sha1hex((run or '') .. (replication or '')), 1, 16) ~= ARGV[1] then return nil end
    isChecked = true
  end
  return false
end
local function mustRenew(expiresAt, ttl)
  return expiresAt < now + ttl or expiresAt > now + 1.5 * ttl
end
local function digits(number)
  return string.format('%.0f', number)
end
local function writeMeta(key, epoch, offset, listAt, ttl)
  local bytes = epoch .. ARGV[1] .. pack('>ddd', offset, listAt, now + 1.5 * ttl)
  redis.call('SET', key, bytes, 'PX', digits(1.5 * ttl))
end
`;

/**
 * Publishes to one or more streams. KEYS: meta and list of each stream; then the key of the idempotency key, if there
 * is one. ARGV: identity, epoch to begin, size, ttlMs, metaTtlMs, expiresMs or 0; then for each stream channel, number
 * of frames, frames. Returns an array: epoch (16 bytes) and offset (double) of each stream's first frame, as one
 * string, with zeros for a stream none of whose frames was stored; 1 if the idempotency key was known, else 0; the
 * errors of the streams with zeros.
 *
 * All streams are read before the first is written, so that a wrong identity is found while nothing is stored. An entry
 * of a list is also the message on the channel: Lua hashes each byte of each new string, so that a second string would
 * cost much.
 */
export const PUBLISH = `
local once = #KEYS % 2 == 1 and KEYS[#KEYS]
if once then
  local first = redis.call('GET', once)
  if first then return { first, 1 } end
end
${META}
local keys = {}
for index = 1, #KEYS - 1, 2 do keys[#keys + 1] = KEYS[index] end
local metas = redis.call('MGET', unpack(keys))
for index, meta in ipairs(metas) do
  metas[index] = trusted(meta)
  if metas[index] == nil then return stale end
end
local size, ttl, metaTtl, expires = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if expires > 0 then expires = now + expires end
local times = pack('>dd', now, expires)
-- The list is trimmed now and then.
local most, kept = size + math.min(math.floor(size / 4), 100), '-' .. ARGV[3]
local at, places, errors = 7, {}, {}
for index, meta in ipairs(metas) do
  local epoch, offset, listAt, metaAt = ARGV[2], 0, 0, 0
  if meta then
    epoch = sub(meta, 1, 16)
    offset, listAt, metaAt = unpackBytes('>ddd', meta, 33)
  end
  local list, channel, count = KEYS[2 * index], ARGV[at], tonumber(ARGV[at + 1])
  local rest, entries = times .. epoch, {}
  for number = 1, count do
    entries[number] = pack('>Bd', 112, offset + number) .. rest .. ARGV[at + 1 + number]
  end
  local length = redis.pcall('RPUSH', list, unpack(entries))
  if type(length) == 'table' then
    places[index] = string.rep('\\0', 24)
    errors[#errors + 1] = length.err
  else
    local first = pack('>d', offset + 1)
    offset = offset + count
    if not meta and length > count then redis.call('LTRIM', list, digits(-count), '-1') end
    if length > most then redis.call('LTRIM', list, kept, '-1') end
    if length == count or mustRenew(listAt, ttl) or mustRenew(metaAt, metaTtl) then
      redis.call('PEXPIRE', list, digits(1.5 * ttl))
      writeMeta(keys[index], epoch, offset, now + 1.5 * ttl, metaTtl)
    else
      redis.call('SETRANGE', keys[index], '32', pack('>d', offset))
    end
    for number = 1, count do redis.call('PUBLISH', channel, entries[number]) end
    places[index] = epoch .. first
    if once then redis.call('SET', once, places[index], 'PX', '300000') end
  end
  at = at + 2 + count
end
return { table.concat(places), 0, unpack(errors) }
`;

/**
 * KEYS: meta, list. ARGV: identity, epoch to begin, since or -1, limit, 1 for reverse, size, ttlMs, metaTtlMs. Returns
 * epoch (16 bytes) and top offset (double) as one string, then the entries.
 */
export const HISTORY = `
${META}
local meta = trusted(redis.call('GET', KEYS[1]))
if meta == nil then return stale end
local epoch, offset, metaTtl = ARGV[2], 0, tonumber(ARGV[8])
if meta then
  local listAt, metaAt
  epoch = sub(meta, 1, 16)
  offset, listAt, metaAt = unpackBytes('>ddd', meta, 33)
  if mustRenew(metaAt, metaTtl) then
    -- The first of these is allowed while Redis is out of memory, and the second one after it.
    redis.call('PEXPIRE', KEYS[1], digits(1.5 * metaTtl))
    redis.call('SETRANGE', KEYS[1], '48', pack('>d', now + 1.5 * metaTtl))
  end
else
  writeMeta(KEYS[1], epoch, 0, 0, metaTtl)
  redis.call('DEL', KEYS[2])
end
local found = { epoch .. pack('>d', offset) }
local since, limit, reverse = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
if limit == 0 then return found end
local newest = redis.call('LINDEX', KEYS[2], '-1')
if not newest or unpackBytes('>d', newest, 10) + ARGV[7] <= now then return found end
local length = redis.call('LLEN', KEYS[2])
local skipped = math.max(0, length - ARGV[6])
local first = offset - length + 1
local function take(entry)
  local expires = unpackBytes('>d', entry, 18)
  if #found <= limit and (expires == 0 or expires > now) then found[#found + 1] = entry end
end
if reverse then
  local at = length - 1
  if since >= 0 and since - 1 - first < at then at = since - 1 - first end
  while at >= skipped and #found <= limit do
    local from = math.max(skipped, at - math.min(limit + 1 - #found, 1000) + 1)
    local entries = redis.call('LRANGE', KEYS[2], digits(from), digits(at))
    for index = #entries, 1, -1 do take(entries[index]) end
    at = from - 1
  end
else
  local at = skipped
  if since >= first + skipped then at = since + 1 - first end
  while at < length and #found <= limit do
    local to = at + math.min(limit + 1 - #found, 1000) - 1
    local entries = redis.call('LRANGE', KEYS[2], digits(at), digits(to))
    for index = 1, #entries do take(entries[index]) end
    at = to + 1
  end
end
return found
`;

/**
 * Begins another epoch, if the stream is still in the epoch that is known to be wrong. KEYS: meta, list. ARGV:
 * identity, epoch to begin, wrong epoch, metaTtlMs to use.
 */
export const RENEW = `
${META}
local meta = redis.call('GET', KEYS[1])
if not meta or sub(meta, 1, 16) ~= ARGV[3] then return 0 end
writeMeta(KEYS[1], ARGV[2], 0, 0, tonumber(ARGV[4]))
redis.call('DEL', KEYS[2])
return 1
`;
