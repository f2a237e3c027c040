/** Messages that are still queued on a port when the thread at its other end has ended. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";

/**
 * Takes the messages that are queued on a port. A worker's exit can be observed before its last messages have been
 * delivered.
 */
export function* queuedMessages<Message>(port: MessagePort): Generator<Message, void> {
  for (;;) {
    const last: { readonly message: Message } | undefined = receiveMessageOnPort(port);
    if (last === undefined) return;
    yield last.message;
  }
}
