// Watches a town with httpSubscriptionLink of @trpc/client 11, and prints one line of JSON for each value.
//
//   node watch.mjs --url http://127.0.0.1:8080/trpc --token <user's token> --town <id> [--stop-at step:power_on]
//
// Exits with 0 after the value `--stop-at` (`change` or `change:step`, by default `ended`), and with 1 after an error.
import { parseArgs } from "node:util";

import { watcher } from "trpc-11/watch.mjs";

const names = ["url", "token", "town", "stop-at"];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const [change, step] = (values["stop-at"] ?? "ended").split(":");

const subscription = watcher(values.url, values.token).gastown.watchTown.subscribe(
  { townId: values.town },
  {
    onData: ({ id, data }) => {
      console.log(JSON.stringify({ id, ...data }));
      if (data.change === change && (!step || data.step === step)) {
        subscription.unsubscribe();
        process.exit(0);
      }
    },
    onError: (error) => {
      console.log(JSON.stringify({ error: error.data?.code ?? error.message }));
      process.exit(1);
    },
    onComplete: () => process.exit(0),
  },
);
