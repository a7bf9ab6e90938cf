// Takes the pictures of the pages in Chromium: the console, and the page of a town during its create.
//
//   cargo build -p gastown-server && cd examples/dashboard && npm ci && npm run pictures
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const docs = join(here, "../../docs");
const binary = process.env.GASTOWN ?? join(here, "../../target/debug/gastown");
const folder = await mkdtemp(join(tmpdir(), "gastown-pictures-"));

const service = spawn(binary, ["dev", "--user", "alice", "--json"], {
  env: { PATH: process.env.PATH, TMPDIR: folder, MONITOR_SECONDS: "2", RUST_LOG: "error" },
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = new Promise((resolve) => service.once("exit", resolve));
const lines = createInterface({ input: service.stdout });
const announced = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
const { url, consoleUrl, users } = announced;

const call = async (procedure, input) => {
  const answer = await fetch(`${url}/trpc/gastown.${procedure}`, {
    method: "POST",
    headers: { authorization: `Bearer ${users.alice.token}`, "content-type": "application/json" },
    body: JSON.stringify(input),
  });
  if (!answer.ok) throw new Error(`${procedure}: ${await answer.text()}`);
  return (await answer.json()).result.data;
};

const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
const shot = (page, name) => page.screenshot({ path: join(docs, name), fullPage: true });
try {
  const mill = await call("createTown", { townName: "mill" });
  await call("addRig", { townId: mill.townId, rigName: "app", repoUrl: "https://github.com/octocat/hello-world.git" });
  await call("createTown", { townName: "inn" });

  // The page of a town that is being created, while its machine starts.
  const page = await browser.newPage({ viewport: { width: 860, height: 400 } });
  const created = call("createTown", { townName: "quarry" });
  await page.goto(`${consoleUrl}/towns?name=quarry`);
  const link = page.getByRole("link", { name: "quarry", exact: true });
  while ((await link.count()) === 0) await page.reload();
  await link.click();
  await page.getByText("await_on").first().waitFor();
  await shot(page, "create.png");
  await created;

  await page.setViewportSize({ width: 1200, height: 400 });
  // Another create waits, because Fly refuses its machine for a while.
  const fault = { call: "CreateMachine", times: 1000, effect: { kind: "throttle", retry_after_seconds: 20 } };
  await fetch(`${announced.flyUrl}/_sim/faults`, { method: "POST", body: JSON.stringify(fault) });
  call("createTown", { townName: "forge" }).catch(() => {});
  await page.goto(consoleUrl);
  await page.getByText("live", { exact: true }).waitFor();
  await page.getByText("ensure_machine").first().waitFor();
  await page.getByRole("link", { name: /3 ?(healthy|ok)/ }).waitFor();
  await shot(page, "console.png");
} finally {
  await browser.close();
  service.kill("SIGTERM");
  await ended;
  await rm(folder, { recursive: true, force: true });
}
