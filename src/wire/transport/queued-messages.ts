import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";

/** What waits in a port: the end of the thread at its other end may be heard of before what that said last. */
export function* queuedMessages<Message>(port: MessagePort): Generator<Message, void> {
  for (;;) {
    const last: { readonly message: Message } | undefined = receiveMessageOnPort(port);
    if (last === undefined) return;
    yield last.message;
  }
}
