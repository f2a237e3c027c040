/** The thread entry of the load generator. */
import { runLoad } from "../src/load/thread.ts";

runLoad();
