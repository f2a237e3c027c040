import Streaming, { TOPICS } from "./streaming.ts";

/** Leaves its topics before it moves and subscribes again afterwards, as a class that knows of no moves would. */
export default class StreamingNaively extends Streaming {
  override suspended(): unknown {
    for (const topic of Object.keys(TOPICS)) this.unsubscribe(topic);
    return null;
  }

  override async resumed(): Promise<void> {
    await this.subscribeAll();
  }
}
