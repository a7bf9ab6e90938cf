// Watches a town, or without one the list of towns, with httpSubscriptionLink of @trpc/client 11. Prints one line of JSON for
// each value.
//
//   node watch.mjs --url http://127.0.0.1:8080/trpc --token <user's token> [--town <id>] [--stop-at step:power_on]
//
// Exits with 0 after the value `--stop-at`, and with 1 after an error. `--stop-at` is `change` or `change:step`, by default
// `ended`. For a list it is a town's status.
import { parseArgs } from "node:util";

import { watcher } from "trpc-11/watch.mjs";

const names = ["url", "token", "town", "stop-at"];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const [change, step] = (values["stop-at"] ?? "ended").split(":");

const { watchTown, watchTowns } = watcher(values.url, values.token).gastown;
const isEnd = (data) =>
  values.town ? data.change === change && (!step || data.step === step) : data.towns.some(({ status }) => status === change);

const subscription = (values.town ? watchTown : watchTowns).subscribe(
  values.town ? { townId: values.town } : undefined,
  {
    onData: ({ id, data }) => {
      console.log(JSON.stringify({ id, ...data }));
      if (isEnd(data)) {
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
