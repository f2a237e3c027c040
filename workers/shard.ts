import { runShard } from "../src/board/shard/shard.ts";

/** The thread entry that piscina calls once for each shard. */
export default runShard;
