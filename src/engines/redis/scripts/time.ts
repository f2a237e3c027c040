/** The part of a Lua script that reads the time of Redis, in milliseconds, as `now`. All scripts begin with it. */
export const TIME = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;
