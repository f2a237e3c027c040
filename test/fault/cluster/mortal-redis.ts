/**
 * The engine over Redis in a thread that ends when it is told to. The boards of the cluster faults load this module.
 */
import createRedisEngine from "../../../src/engines/redis/index.ts";
import { KILL_ENGINE } from "./messages.ts";

const channel = new BroadcastChannel(KILL_ENGINE);
channel.onmessage = () => process.exit(1);
// Both kinds of BroadcastChannel in the types lack it.
(channel as unknown as { unref(): void }).unref();

export default createRedisEngine;
