import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { AppRouter } from "@gastown/client";

const { GASTOWN_URL, GASTOWN_TOKEN } = process.env;
const { gastown } = createTRPCClient<AppRouter>({
  links: [httpBatchLink({ url: `${GASTOWN_URL}/trpc`, headers: { authorization: `Bearer ${GASTOWN_TOKEN}` } })],
});

const { townId, townName, status } = await gastown.createTown.mutate({ townName: "mill" });
console.log(`${townName} is ${status}`);
await gastown.addRig.mutate({ townId, rigName: "app", repoUrl: "https://github.com/octocat/hello-world.git" });
const town = await gastown.getTownStatus.query({ townId });
console.log(`${townName} works on ${town.rigs.map((rig) => rig.rigName).join(", ")}`);
const gone = await gastown.destroyTown.mutate({ townId });
console.log(`${townName} is ${gone.status}`);
