/** The Lua scripts of presence: joins, leaves, renewals, and the lists of members. */
import { TIME } from "./time.ts";

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
-- A connection that has come from another process, with its address, is the same member on another node.
local function withoutNode(record)
  return record and (string.gsub(record, '"node":"[^"]*"', '', 1))
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
 * 1 to report no joins, ttlMs of members that are let go; then three for each change: j, address, record; l, address,
 * graceMs; or g, address, record. A join replaces the member with its address, also one in its grace time: the same
 * record is no change, whatever its node; another user ends the old member. A member that is let go (g) stays, with a
 * deadline of its own, unless another node has joined it: its record isn't the same then.
 */
export const CHANGE = `
${PRESENCE}
for index = 7, #ARGV, 3 do
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
    if withoutNode(old) ~= withoutNode(record) and ARGV[5] ~= '1' then report('j', record, isFirst) end
  elseif ARGV[index] == 'g' then
    if member == ARGV[index + 2] then redis.call('ZADD', KEYS[4], now + ARGV[6], address) end
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
export const REFRESH = `
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
export const MEMBERS = `
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
export const STATS = `
${PRESENCE}
sweep(ARGV[3] == '1')
flush()
return { redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]) }
`;
