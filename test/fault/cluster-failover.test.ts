/** A replica takes over, by hand with lost writes and by Sentinel, as clients of three boards see it. */
import { expect, it, onTestFinished } from "vitest";
import { caughtUp, RedisServer, startSentinel } from "../support/redis-server.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { Cluster, Trial } from "./cluster/trial.ts";

it("a replica that is promoted without the newest writes: all are told once, and see nothing of two lives mixed", async () => {
  const master = await RedisServer.start();
  const replication = await TcpProxy.start(master.port);
  const replica = await RedisServer.start();
  await replica.follows(replication);
  const cluster = new Cluster();
  onTestFinished(() => cluster.end());
  await cluster.add(3, master.port);
  const trial = await Trial.start(cluster);
  for (const writer of trial.writers) writer.stop();
  await trial.until(() => trial.writers.every(({ isIdle }) => isIdle));
  await caughtUp(master, replica);
  replication.stick();
  const topic = trial.topics[0] ?? "";
  const shared = (await cluster.boards[0]?.history(topic))?.top;
  // These are acknowledged and seen, and the replica never gets them.
  for (let count = 0; count < 20; count++) for (const writer of trial.writers) writer.publish();
  await trial.until(() => trial.writers.every(({ isIdle }) => isIdle));
  const lost = (await cluster.boards[0]?.history(topic))?.top;
  expect([lost?.epoch, lost?.offset]).toEqual([shared?.epoch, (shared?.offset ?? 0) + 60]);

  trial.begin();
  await master.kill();
  await replication.close();
  await trial.goesRed();
  trial.mended();
  await replica.command("REPLICAOF", "NO", "ONE");
  for (const link of cluster.links) link.retarget(replica.port);
  for (const writer of trial.writers) writer.run();
  await trial.recovers();
  await trial.end("a replica is promoted by hand, 180 writes are lost", { told: 1 });
});

it("Sentinel promotes a replica: all are told once, and go on at the new master", async () => {
  const master = await RedisServer.start();
  const replica = await RedisServer.start();
  await replica.follows(master);
  const sentinel = await startSentinel(master);
  const cluster = new Cluster();
  onTestFinished(() => cluster.end());
  await cluster.add(3, { sentinel: { name: "board", nodes: [sentinel.address] } });
  const trial = await Trial.start(cluster);
  trial.begin();
  await master.kill();
  trial.mended();
  await trial.goesRed();
  await trial.recovers();
  await trial.end("the master dies, Sentinel promotes a replica", { told: 1 });
});
