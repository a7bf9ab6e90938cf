// Drives the console in Chromium against a running `gastown dev --allow-actions`, in the folder of examples/dashboard.
//
//   CONSOLE_URL=http://127.0.0.1:9465/console GASTOWN_URL=… GASTOWN_TOKEN=… HOSTILE_USER=… node console.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { chromium } = createRequire(`${process.cwd()}/`)("playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const { CONSOLE_URL, GASTOWN_URL, GASTOWN_TOKEN, HOSTILE_USER, SCREENSHOT } = process.env;

const create = async (townName) => {
  const answer = await fetch(`${GASTOWN_URL}/trpc/gastown.createTown`, {
    method: "POST",
    headers: { authorization: `Bearer ${GASTOWN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ townName }),
  });
  assert.equal(answer.status, 200);
};

const profile = await mkdtemp(join(tmpdir(), "console-"));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
try {
  const page = await browser.newPage();
  await page.setViewportSize({ width: 1200, height: 1000 });
  page.setDefaultTimeout(60_000);
  // Violations of the security policy are errors in the browser's console.
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("dialog", (dialog) => faults.push(`dialog: ${dialog.message()}`));
  const loads = [];
  page.on("load", () => loads.push(page.url()));

  await page.goto(CONSOLE_URL);
  await page.getByText("Nothing needs attention.").waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  await create("mill");
  const events = page.locator("[data-live]");
  await events.getByText(`${HOSTILE_USER}/mill`).first().waitFor();
  assert.equal(await events.locator("b, script, img").count(), 0);
  // The figures follow without a new page.
  await page.getByRole("link", { name: "1 running" }).waitFor();
  assert.equal(loads.length, 1);
  await page.reload();
  await page.locator("svg.plot circle").first().waitFor();

  await page.getByRole("link", { name: "Towns" }).click();
  await page.getByRole("cell", { name: HOSTILE_USER, exact: true }).waitFor();
  await page.getByRole("link", { name: "mill", exact: true }).click();
  await page.getByRole("button", { name: "stop" }).click();
  await page.getByRole("status").getByText("accepted").waitFor();
  const status = (text) => page.locator("dd").getByText(text, { exact: true }).first();
  await status("stopped").waitFor();
  await page.getByRole("button", { name: "start" }).click();
  await status("running").waitFor();
  await page.getByLabel("Name of the town").fill("mil");
  await page.getByRole("button", { name: "destroy" }).click();
  await page.getByRole("status").getByText("Nothing was done").waitFor();
  await page.getByLabel("Name of the town").fill("mill");
  await page.getByRole("button", { name: "destroy" }).click();
  await status("destroyed").waitFor();

  for (const name of ["Operations", "Orphans", "Events"]) {
    await page.getByRole("link", { name }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  }
  await page.getByRole("cell", { name: "operator:console" }).first().waitFor();
  await page.getByLabel("Only failed").check();
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("No event meets these conditions.").waitFor();
  assert.deepEqual(faults, []);

  if (SCREENSHOT) {
    for (const name of ["inn", "forge", "quarry"]) await create(name);
    await page.goto(CONSOLE_URL);
    await page.getByText("live", { exact: true }).waitFor();
    await page.screenshot({ path: SCREENSHOT, fullPage: true });
  }
  console.log("ok: live events, figures, plot, towns, actions with confirmation, lists");
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
