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

/** Length of an epoch, in characters. */
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
 * Defines \`placeOf\`, which reads a meta and returns epoch, offset, and whether the stream is new. A stream that isn't
 * there, or whose offsets another server gave, begins another epoch. That the caller's identity is wrong, and not the
 * meta's, is checked only then: it takes long. Returns nil for a wrong identity; the script answers \`stale\` then.
 */
const PLACE = `
local stale = redis.error_reply('${STALE} the server has changed')
local function placeOf(key, fresh)
  local meta = redis.call('GET', key)
  if not meta then return fresh, 0, true end
  if string.sub(meta, 17, 32) == ARGV[1] then
    return string.sub(meta, 1, 16), tonumber(string.sub(meta, 33)), false
  end
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if string.sub(redis.sha1hex((run or '') .. (replication or '')), 1, 16) ~= ARGV[1] then return nil end
  return fresh, 0, true
end
`;

/** Reads the meta of the only stream of a script. */
const META = `
${PLACE}
local epoch, offset, isNew = placeOf(KEYS[1], ARGV[2])
if not epoch then return stale end
`;

/**
 * KEYS: meta, list, and the key of the idempotency key if there is one. ARGV: identity, epoch to begin, frame, size,
 * ttlMs, metaTtlMs, expiresMs or 0, channel. Returns 0 or 1 (duplicate), epoch, offset, as one string.
 */
const PUBLISH = `
if KEYS[3] then
  local first = redis.call('GET', KEYS[3])
  if first then return '1' .. first end
end
${META}
${TIME}
offset = offset + 1
local expires = tonumber(ARGV[7])
if expires > 0 then expires = now + expires end
if isNew then redis.call('DEL', KEYS[2]) end
local length = redis.call('RPUSH', KEYS[2], struct.pack('>ddd', offset, now, expires) .. ARGV[3])
if length > tonumber(ARGV[4]) then redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1) end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local place = epoch .. string.format('%.0f', offset)
redis.call('SET', KEYS[1], epoch .. ARGV[1] .. string.format('%.0f', offset), 'PX', ARGV[6])
if KEYS[3] then redis.call('SET', KEYS[3], place, 'PX', 300000) end
redis.call('PUBLISH', ARGV[8], 'p' .. struct.pack('>dd', offset, now) .. epoch .. ARGV[3])
return '0' .. place
`;

/**
 * Publishes to several streams. KEYS: meta and list of each stream. ARGV: identity; then for each stream epoch to
 * begin, channel, size, ttlMs, metaTtlMs, number of frames, frames. Returns for each stream epoch and offset of the
 * first frame, as one string; or an exclamation mark and the error, if none of the stream's frames was stored. All
 * streams are read before the first is written, so that a wrong identity is found while nothing is stored.
 */
const PUBLISH_BATCH = `
${PLACE}
${TIME}
local streams, at = {}, 2
for key = 1, #KEYS, 2 do
  local epoch, offset, isNew = placeOf(KEYS[key], ARGV[at])
  if not epoch then return stale end
  streams[#streams + 1] = { epoch, offset, isNew, at }
  at = at + 6 + ARGV[at + 5]
end
local never, places = struct.pack('>d', 0), {}
for index, stream in ipairs(streams) do
  local epoch, offset, at = stream[1], stream[2], stream[4]
  local list, channel, count = KEYS[2 * index], ARGV[at + 1], tonumber(ARGV[at + 5])
  local entries, messages = {}, {}
  for number = 1, count do
    local place, frame = struct.pack('>dd', offset + number, now), ARGV[at + 5 + number]
    entries[number] = place .. never .. frame
    messages[number] = 'p' .. place .. epoch .. frame
  end
  if stream[3] then redis.call('DEL', list) end
  local length = redis.pcall('RPUSH', list, unpack(entries))
  if type(length) == 'table' then
    places[index] = '!' .. length.err
  else
    if length > tonumber(ARGV[at + 2]) then redis.call('LTRIM', list, -tonumber(ARGV[at + 2]), -1) end
    redis.call('PEXPIRE', list, ARGV[at + 3])
    local top = epoch .. ARGV[1] .. string.format('%.0f', offset + count)
    redis.call('SET', KEYS[2 * index - 1], top, 'PX', ARGV[at + 4])
    for number = 1, count do redis.call('PUBLISH', channel, messages[number]) end
    places[index] = epoch .. string.format('%.0f', offset + 1)
  end
end
return places
`;

/**
 * KEYS: meta, list. ARGV: identity, epoch to begin, since or -1, limit, 1 for reverse, metaTtlMs. Returns epoch and
 * offset as one string, then the entries.
 */
const HISTORY = `
${META}
if isNew then
  redis.call('SET', KEYS[1], epoch .. ARGV[1] .. '0', 'PX', ARGV[6])
  redis.call('DEL', KEYS[2])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
local found = { epoch .. string.format('%.0f', offset) }
local since, limit, reverse = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local length = redis.call('LLEN', KEYS[2])
if limit == 0 or length == 0 then return found end
${TIME}
local first = offset - length + 1
local function take(entry)
  local expires = struct.unpack('>d', entry, 17)
  if #found <= limit and (expires == 0 or expires > now) then found[#found + 1] = entry end
end
if reverse then
  local at = length - 1
  if since >= 0 and since - 1 - first < at then at = since - 1 - first end
  while at >= 0 and #found <= limit do
    local from = math.max(0, at - math.min(limit + 1 - #found, 1000) + 1)
    local entries = redis.call('LRANGE', KEYS[2], from, at)
    for index = #entries, 1, -1 do take(entries[index]) end
    at = from - 1
  end
else
  local at = 0
  if since >= first then at = since + 1 - first end
  while at < length and #found <= limit do
    local to = at + math.min(limit + 1 - #found, 1000) - 1
    local entries = redis.call('LRANGE', KEYS[2], string.format('%.0f', at), string.format('%.0f', to))
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
local meta = redis.call('GET', KEYS[1])
if not meta or string.sub(meta, 1, 16) ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1] .. '0', 'PX', ARGV[4])
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
  readonly publishBatch: Script;
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
    publishBatch: create("publishBatch", PUBLISH_BATCH),
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
