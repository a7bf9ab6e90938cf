// Drives the built dashboard in Chromium against a running service.
//
//   GASTOWN_URL=http://127.0.0.1:8080 GASTOWN_TOKEN=… CHROMIUM=/usr/bin/chromium node check.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";
import { build, preview } from "vite";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

await build({ logLevel: "error" });
const server = await preview({ preview: { host: "127.0.0.1", port: 0 } });
const profile = await mkdtemp(join(tmpdir(), "dashboard-"));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  const isWatched = (what) => requests.some((url) => url.includes(`gastown.${what}?`));
  await page.goto(server.resolvedUrls.local[0]);
  await page.getByLabel("Token").fill(process.env.GASTOWN_TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("No towns yet.").waitFor();

  const form = page.getByRole("form", { name: "New town" });
  await form.getByLabel("Name").fill("Not A Name");
  await form.getByRole("button", { name: "Create" }).click();
  await form.getByRole("alert").waitFor();
  assert.equal(await form.getByLabel("Name").getAttribute("aria-invalid"), "true");

  await form.getByLabel("Name").fill("mill");
  await form.getByRole("button", { name: "Create" }).click();
  const town = page.getByRole("region", { name: "mill" });
  await town.getByText(/^create: /).waitFor();
  const reaches = (status) => town.getByTestId("status").getByText(status, { exact: true }).waitFor();
  await reaches("running");
  const steps = town.getByRole("list", { name: "Steps" }).getByRole("listitem");
  const told = await steps.allInnerTexts();
  assert.ok(told.length >= 3, `the steps of the create are missing: ${told}`);
  assert.ok(isWatched("watchTown") && isWatched("watchTowns"), "town and list are watched");
  assert.ok(!requests.some((url) => url.includes("gastown.listTowns")), "the list is not polled");

  const rig = town.getByRole("form", { name: "New rig" });
  await rig.getByLabel("Rig", { exact: true }).fill("app");
  await rig.getByLabel("Repository").fill("file:///etc/passwd");
  await rig.getByRole("button", { name: "Add" }).click();
  await rig.getByRole("alert").waitFor();
  await rig.getByLabel("Rig", { exact: true }).fill("app");
  await rig.getByLabel("Repository").fill("https://github.com/octocat/hello-world.git");
  await rig.getByRole("button", { name: "Add" }).click();
  await town.getByText(/^app: .*\(active\)/).waitFor();
  await town.getByRole("button", { name: "Remove app" }).click();
  await town.getByText(/^app: /).waitFor({ state: "detached" });

  await town.getByRole("button", { name: "Stop" }).click();
  await reaches("stopped");
  await town.getByRole("button", { name: "Start" }).click();
  await reaches("running");
  await town.getByRole("button", { name: "Destroy", exact: true }).click();
  await page.getByRole("button", { name: "Keep" }).click();
  await town.getByRole("button", { name: "Destroy", exact: true }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Destroy for good" }).click();
  await page.getByText("No towns yet.").waitFor();
  assert.deepEqual(faults, []);
  console.log("ok: list, create with live steps, faults of fields, rigs, stop, start, destroy");
} finally {
  await browser.close();
  await server.close();
  await rm(profile, { recursive: true, force: true });
}
