/**
 * The Lua scripts that run inside Redis, each in one atomic step. They read the time of Redis, never that of a node.
 * README.md ("What is kept in Redis") explains the keys. A script gets the identity of the server as its first
 * argument.
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly name: string;
  readonly text: string;
  /** SHA-1 of the text, by which `EVALSHA` names the script. */
  readonly sha: string;
}

/** Length of an epoch, in bytes. */
export const EPOCH_LENGTH = 16;
/** Length of the identity of a server, in characters. */
export const IDENTITY_LENGTH = 16;

/** What a script answers when its caller doesn't know which server it talks to: the server's role has changed. */
export const STALE = "SWITCHBOARDSTALE";

const TIME = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

/**
 * The meta of a stream is: epoch (16 bytes), identity of the server (16), then three big-endian doubles: top offset,
 * time at which the list expires, time at which the meta expires.
 *
 * Both keys are kept for half as long again as they must be, so that only a publication of the second half of that time
 * renews them: `EXPIRE` costs as much as an append. `mustRenew` says when, also when the time itself has changed.
 *
 * `trusted` returns a meta, or false for one that isn't there or that another server wrote: the stream begins another
 * epoch then. Only for such a meta it checks whether the caller's identity is the wrong one, because that takes long. It
 * returns nil for a wrong identity, and the script answers `stale`.
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
 * of a list is also the message on the channel: Lua hashes each byte of each new string, so that a second string would cost much.
 */
const PUBLISH = `
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
const HISTORY = `
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
const RENEW = `
${META}
local meta = redis.call('GET', KEYS[1])
if not meta or sub(meta, 1, 16) ~= ARGV[3] then return 0 end
writeMeta(KEYS[1], ARGV[2], 0, 0, tonumber(ARGV[4]))
redis.call('DEL', KEYS[2])
return 1
`;

/**
 * A record of a member is: 1 if its changes are reported, else 0; the number of bytes of its user; a colon; its user;
 * the member as JSON. KEYS of all scripts of presence: members, users, leaving, deadlines.
 */
const PRESENCE = `
${TIME}
local reports, reported = {}, 0
local function userOf(record)
  local length, at = string.match(record, '^.(%d+):()')
  return string.sub(record, at, at + length - 1)
end
local function flush()
  if reported > 0 then redis.call('PUBLISH', ARGV[2], 'c' .. table.concat(reports)) end
  reports, reported = {}, 0
end
local function report(kind, record, ofUser)
  if string.sub(record, 1, 1) ~= '1' then return end
  local length, at = string.match(record, '^.(%d+):()')
  local json = string.sub(record, at + length)
  reports[#reports + 1] = kind .. (ofUser and '1' or '0') .. struct.pack('>I4', #json) .. json
  reported = reported + 1
  if reported == 100 then flush() end
end
local function fewer(key, field)
  if redis.call('HINCRBY', key, field, -1) <= 0 then redis.call('HDEL', key, field) end
end
local function hasUser(user)
  return redis.call('HEXISTS', KEYS[2], user) == 1 or redis.call('HEXISTS', KEYS[3], 'u' .. user) == 1
end
local function keep(ms)
  for index = 1, 4 do
    if redis.call('PTTL', KEYS[index]) < tonumber(ms) then redis.call('PEXPIRE', KEYS[index], ms) end
  end
end
-- Removes what has expired. Unless all is true, only members whose grace time is over.
local function sweep(all)
  local skipped = 0
  while true do
    local due = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', skipped, 100)
    for _, address in ipairs(due) do
      local left = redis.call('HGET', KEYS[3], 'a' .. address)
      local member = not left and redis.call('HGET', KEYS[1], address)
      if member and not all then
        skipped = skipped + 1
      else
        redis.call('ZREM', KEYS[4], address)
        local record = left or member
        if record then
          local user = userOf(record)
          if left then
            redis.call('HDEL', KEYS[3], 'a' .. address)
            fewer(KEYS[3], 'u' .. user)
          else
            redis.call('HDEL', KEYS[1], address)
            fewer(KEYS[2], user)
          end
          report('l', record, not hasUser(user))
        end
      end
    end
    if #due < 100 then break end
  end
end
`;

/**
 * Joins and leaves, in their order. ARGV: identity, channel, ttlMs of members, time for which the keys are kept in ms,
 * 1 to report no joins; then three for each change: j, address, record; or l, address, graceMs. A join replaces the
 * member with its address, also one in its grace time: the same record is no change, another user ends the old member.
 */
const CHANGE = `
${PRESENCE}
for index = 6, #ARGV, 3 do
  local address = ARGV[index + 1]
  local member = redis.call('HGET', KEYS[1], address)
  if ARGV[index] == 'j' then
    local record = ARGV[index + 2]
    local user = userOf(record)
    local left = not member and redis.call('HGET', KEYS[3], 'a' .. address)
    local old = member or left
    local oldUser = old and userOf(old)
    if member then fewer(KEYS[2], oldUser) end
    if left then
      redis.call('HDEL', KEYS[3], 'a' .. address)
      fewer(KEYS[3], 'u' .. oldUser)
    end
    if old and oldUser ~= user then report('l', old, not hasUser(oldUser)) end
    local isFirst = oldUser ~= user and not hasUser(user)
    redis.call('HSET', KEYS[1], address, record)
    redis.call('HINCRBY', KEYS[2], user, 1)
    redis.call('ZADD', KEYS[4], now + ARGV[3], address)
    if old ~= record and ARGV[5] ~= '1' then report('j', record, isFirst) end
  elseif member then
    local user = userOf(member)
    redis.call('HDEL', KEYS[1], address)
    fewer(KEYS[2], user)
    if ARGV[index + 2] == '0' then
      redis.call('ZREM', KEYS[4], address)
      report('l', member, not hasUser(user))
    else
      redis.call('HSET', KEYS[3], 'a' .. address, member)
      redis.call('HINCRBY', KEYS[3], 'u' .. user, 1)
      redis.call('ZADD', KEYS[4], now + ARGV[index + 2], address)
    end
  end
end
keep(ARGV[4])
flush()
return 1
`;

/**
 * Renews the members of a node, and removes what has expired. ARGV: identity, channel, ttlMs of members, time for which
 * the keys are kept in ms, 1 to remove members that have expired, too; then addresses. Returns the time until the next
 * deadline in ms, or -1, as a string; then the addresses that aren't members any more.
 */
const REFRESH = `
${PRESENCE}
-- This changes nothing. Redis allows it also while it is out of memory, and then the renewals that follow, too.
redis.call('HDEL', KEYS[1], '')
local missing = {}
for index = 6, #ARGV do
  local address = ARGV[index]
  if redis.call('HEXISTS', KEYS[1], address) == 1 then
    redis.call('ZADD', KEYS[4], now + ARGV[3], address)
  else
    missing[#missing + 1] = address
  end
end
sweep(ARGV[5] == '1')
if #ARGV > 5 then keep(ARGV[4]) end
flush()
local next = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2]
table.insert(missing, 1, next and string.format('%.0f', math.max(0, next - now)) or '-1')
return missing
`;

/** ARGV: identity, channel, 1 to remove members that have expired, limit. Returns members as JSON. */
const MEMBERS = `
${PRESENCE}
sweep(ARGV[3] == '1')
flush()
local found, limit, cursor = {}, tonumber(ARGV[4]), '0'
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', 100)
  cursor = page[1]
  for index = 2, #page[2], 2 do
    if #found >= limit then return found end
    local record = page[2][index]
    local length, at = string.match(record, '^.(%d+):()')
    found[#found + 1] = string.sub(record, at + length)
  end
until cursor == '0'
return found
`;

/** ARGV: identity, channel, 1 to remove members that have expired. Returns the numbers of members and of users. */
const STATS = `
${PRESENCE}
sweep(ARGV[3] == '1')
flush()
return { redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]) }
`;

export interface Scripts {
  readonly publish: Script;
  readonly history: Script;
  readonly renew: Script;
  readonly change: Script;
  readonly refresh: Script;
  readonly members: Script;
  readonly stats: Script;
}

/**
 * Returns the scripts. In a cluster they publish by `SPUBLISH`, which only the server with the channel's slot carries.
 */
export function createScripts(isCluster: boolean): Scripts {
  const create = (name: string, source: string): Script => {
    const text = isCluster ? source.replaceAll("'PUBLISH'", "'SPUBLISH'") : source;
    return { name, text, sha: createHash("sha1").update(text).digest("hex") };
  };
  return {
    publish: create("publish", PUBLISH),
    history: create("history", HISTORY),
    renew: create("renew", RENEW),
    change: create("change", CHANGE),
    refresh: create("refresh", REFRESH),
    members: create("members", MEMBERS),
    stats: create("stats", STATS),
  };
}

/** Returns the identity of a server from its `INFO server` and `INFO replication`, as the scripts compute it. */
export function identityOf(server: string, replication: string): string {
  const run = /run_id:(\w+)/.exec(server)?.[1] ?? "";
  const history = /master_replid:(\w+)/.exec(replication)?.[1] ?? "";
  return createHash("sha1").update(run).update(history).digest("hex").slice(0, IDENTITY_LENGTH);
}
