// Each marked line must be refused by `tsc --strict`, and no other.
import { createTRPCClient, httpBatchLink } from "@trpc/client";

import { errorData } from "@gastown/client";
import type { AppRouter } from "@gastown/client";

const { gastown } = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "http://127.0.0.1/trpc" })] });

await gastown.createTown.mutate({ townName: 5 }); // refused
await gastown.createTown.mutate({}); // refused
await gastown.createTown.mutate({ townName: "mill", regions: "iad" }); // refused
await gastown.createTown.query({ townName: "mill" }); // refused
await gastown.stopTown.mutate({ townId: "t", rigId: "r" }); // refused
await gastown.renameTown.mutate({ townId: "t" }); // refused
await gastown.updateTown.mutate({ townId: "t", config: {} }); // refused
await gastown.updateTown.mutate({ townId: "t", configVersion: "v", config: { max_polecats: "4" } }); // refused
await gastown.heartbeat.mutate({ townId: "t" }); // refused
await gastown.getTownStatus.query(); // refused
await gastown.listTowns.query({ limit: "10" }); // refused
await gastown.destroyTown.mutate({ townId: "t", waitUntilGone: null }); // refused
const town = await gastown.stopTown.mutate({ townId: "t" });
const step: string = town.operation.step; // refused
const isGone: boolean = town.status === "gone"; // refused
const status = await gastown.getTownStatus.query({ townId: "t" });
const ended: string = status.lastOutcome.at; // refused
const isTaken = errorData(undefined)?.reason === "name_is_taken"; // refused
console.log(step, isGone, ended, isTaken);
