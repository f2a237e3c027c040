/** The main thread's ends of all that joins threads and nodes: topics, mail and the cluster. `Switchboard` has one. */
import { DeadLetters } from "../../runtime/mail/dead-letters.ts";
import { MailRouter } from "../../runtime/mail/mail-router.ts";
import { BoardTopics } from "./board-topics.ts";
import { Cluster } from "./cluster/cluster.ts";
import { factsOf } from "./cluster/node-list.ts";
import type { EventAnnouncer } from "./event-announcer.ts";
import { listPage } from "./listing.ts";
import type { Settings } from "./options/start-options.ts";
import type { ShardPool } from "./pool/shard-pool.ts";
import { surveyShards } from "./survey.ts";

export class BoardHub {
  readonly topics: BoardTopics;
  readonly mail: MailRouter;
  readonly cluster: Cluster;
  #deadLetters = 0;

  /** @param pool returns the shards; called only once they have started */
  constructor(settings: Settings, pool: () => ShardPool, events: EventAnnouncer) {
    const topics = new BoardTopics(settings.engine, {
      engineHealthChanged: (health) => events.engineHealthChanged(health),
      engineLost: () => this.cluster.engineLost(),
      controlReceived: (from, message) => this.cluster.controlReceived(from, message),
      nodeChanged: (id, facts) => this.cluster.nodeChanged(id, facts),
    });
    this.topics = topics;
    const startedAt = Date.now();
    this.cluster = new Cluster({
      link: topics,
      facts: () => factsOf(settings.nodeName, startedAt, pool().counters(), this.mail.nodes.aliases),
      deliver: (mail, settle) => this.mail.deliver(mail, settle),
      list: (page) => listPage(pool().shards, page, (shard, after, limit) => pool().list(shard, after, limit)),
      disconnect: async (address, code, reason) => {
        const query = { kind: "disconnect", address, code, reason } as const;
        return (await pool().queryAt(address, query, (wasOpen) => !wasOpen)) ?? false;
      },
      survey: (survey) =>
        surveyShards(topics.node, pool().shards, survey, (shard, { actor, question, timeoutMs }) =>
          pool().query(shard, { kind: "survey", actor, question }, timeoutMs),
        ),
      nodeJoined: (node) => events.announce("nodeJoined", node),
      nodeLeft: (node) => events.announce("nodeLeft", node),
    });
    const deadLetters = new DeadLetters(
      () => this.#deadLetters++,
      (lost) => events.announce("deadLetter", { shard: undefined, ...lost }),
    );
    this.mail = new MailRouter({
      shard: undefined,
      get addressPrefix() {
        return topics.addressPrefix;
      },
      elsewhere: this.cluster,
      mailReceived: () => "gone",
      mailUndelivered: (lost) => deadLetters.add(lost),
    });
  }

  /** Connections of other nodes have come: their addresses lead to here. */
  answerFor(nodes: readonly string[]): void {
    this.mail.nodes.answerFor(nodes);
    this.cluster.answerFor(nodes);
  }

  /** All connections have gone to another process, which answers for this node. */
  handedOver(): void {
    this.mail.nodes.handedOver();
    this.cluster.handedOver();
  }

  /** Number of mails of the board whose receiver was gone. */
  get deadLetters(): number {
    return this.#deadLetters;
  }
}
