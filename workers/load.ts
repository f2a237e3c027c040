import { runLoad } from "../src/load/thread.ts";

/** The thread entry of the load generator. */
runLoad();
