// Runs the life of a town with every link of @trpc/client 10 and 11.
//
//   node check.mjs --url http://127.0.0.1:8080/trpc --token <user's token> [--other-token <another user's>]
//                  [--repo-url https://…] [--wait-seconds 120] [--link "v11 httpLink"]
//
// The same options as environment variables: GASTOWN_URL, GASTOWN_TOKEN, GASTOWN_OTHER_TOKEN, GASTOWN_REPO_URL,
// GASTOWN_WAIT_SECONDS, GASTOWN_LINK. Prints one line for each check, and exits with 1 if one failed.
import { parseArgs } from "node:util";

import { runTownLife } from "./life.mjs";
import { clients as clients10 } from "trpc-10";
import { clients as clients11 } from "trpc-11";

const names = ["url", "token", "other-token", "repo-url", "wait-seconds", "link"];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const setting = (name) => values[name] ?? process.env[`GASTOWN_${name.replaceAll("-", "_").toUpperCase()}`];

const url = setting("url");
const token = setting("token");
if (!url || !token) {
  console.error("usage: node check.mjs --url <base url of tRPC> --token <token>");
  process.exit(2);
}

const bearer = (secret) => ({ authorization: `Bearer ${secret}` });
const chosen = [...clients11, ...clients10].filter(({ name }) => !setting("link") || setting("link") === name);
let passed = 0;
let failed = chosen.length === 0 ? 1 : 0;

for (const { name, connect } of chosen) {
  const check = async (what, run) => {
    const began = performance.now();
    try {
      const result = await run();
      passed += 1;
      console.log(`ok    ${name}: ${what} (${Math.round(performance.now() - began)} ms)`);
      return result;
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}: ${what}: ${error?.message ?? error}`);
      throw error;
    }
  };
  try {
    await runTownLife({
      check,
      mine: connect(url, bearer(token)),
      others: setting("other-token") && connect(url, bearer(setting("other-token"))),
      anonymous: connect(url, {}),
      townName: `ts-${name.toLowerCase().replaceAll(" ", "-")}-${Math.random().toString(36).slice(2, 10)}`,
      repoUrl: setting("repo-url") ?? "https://github.com/octocat/hello-world.git",
      waitMs: 1000 * Number(setting("wait-seconds") ?? 120),
    });
  } catch {
    // The check has counted and printed it. The next link uses its own town.
  }
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
