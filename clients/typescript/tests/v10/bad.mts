// Each marked line must be refused by `tsc --strict` with version 10 of tRPC, and no other.
import { createTRPCProxyClient, httpBatchLink } from "@trpc/client";

import type { AppRouter } from "@gastown/client/v10";

const { gastown } = createTRPCProxyClient<AppRouter>({ links: [httpBatchLink({ url: "http://127.0.0.1/trpc" })] });

await gastown.createTown.mutate({ townName: 5 }); // refused
await gastown.createTown.mutate({ townName: "mill", regions: "iad" }); // refused
await gastown.createTown.query({ townName: "mill" }); // refused
await gastown.renameTown.mutate({ townId: "t" }); // refused
await gastown.heartbeat.mutate({ townId: "t" }); // refused
await gastown.getTownStatus.query(); // refused
gastown.watchTown.subscribe({ townId: "t" }, {}); // refused
const town = await gastown.stopTown.mutate({ townId: "t" });
const step: string = town.operation.step; // refused
console.log(step);
