import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

const MISSING = "00000000-0000-4000-8000-0000000000ff";

/** Returns the error of a call that must fail. */
async function errorOf(call) {
  try {
    await call;
  } catch (error) {
    assert.equal(error.name, "TRPCClientError");
    return error;
  }
  throw new Error("the call succeeded and should not have");
}

/** Asserts that a call fails with a code, and that envelope and code agree. */
async function fails(call, code, httpStatus) {
  const error = await errorOf(call);
  assert.equal(error.data?.code, code, `${error.message}`);
  assert.equal(error.data.httpStatus, httpStatus);
  assert.ok(error.message.length > 0);
  return error;
}

/** Runs the life of a town from its creation to its destruction, with the calls that must be refused. */
export async function runTownLife({ check, mine, others, anonymous, townName, repoUrl, waitMs }) {
  const { gastown } = mine;
  let townId;

  const status = () => gastown.getTownStatus.query({ townId });
  const until = async (what, holds) => {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const town = await status();
      if (holds(town)) return town;
      if (Date.now() > deadline) throw new Error(`not ${what} after ${waitMs} ms: ${JSON.stringify(town)}`);
      await pause(200);
    }
  };
  const reaches = (wanted) => until(wanted, (town) => town.status === wanted && !town.operation);

  try {
    await check("createTown answers with id and status", async () => {
      const town = await gastown.createTown.mutate({ townName, config: { max_polecats: 2, note: "kept" } });
      townId = town.townId;
      assert.match(townId, /^[0-9a-f-]{36}$/);
      assert.equal(town.townName, townName);
      assert.ok(["running", "provisioning"].includes(town.status), town.status);
    });
    await check("the town is running", () => reaches("running"));
    await check("getTownStatus shows the town", async () => {
      const town = await status();
      assert.equal(town.townId, townId);
      assert.equal(town.townName, townName);
      assert.deepEqual(town.rigs, []);
    });
    await check("listTowns shows the town once", async () => {
      const towns = await gastown.listTowns.query();
      assert.deepEqual(towns.filter((town) => town.townId === townId).map((town) => town.townName), [townName]);
    });
    await check("the same name again is a CONFLICT", () =>
      fails(gastown.createTown.mutate({ townName }), "CONFLICT", 409));

    const rig = await check("addRig answers with the rig", async () => {
      const added = await gastown.addRig.mutate({ townId, rigName: "demo", repoUrl });
      assert.equal(added.rigName, "demo");
      assert.equal(added.repoUrl, repoUrl);
      // The default branch, or null until a sandbox has told it.
      assert.ok([null, "main"].includes(added.branch), added.branch);
      assert.deepEqual([added.town.townId, added.town.operation], [townId, null]);
      return added;
    });
    const hasRig = (town) => town.rigs.some(({ rigId }) => rigId === rig.rigId);
    await check("the rig shows in the status", () => until("with its rig", hasRig));

    await check("stopTown stops", async () => {
      const town = await gastown.stopTown.mutate({ townId });
      assert.equal(town.townId, townId);
      await reaches("stopped");
    });
    await check("startTown starts, the rig is still there", async () => {
      const town = await gastown.startTown.mutate({ townId });
      assert.equal(town.townId, townId);
      assert.ok(hasRig(await reaches("running")));
    });
    await check("updateTown compares and sets", async () => {
      const { config, configVersion } = await status();
      const set = (more) => gastown.updateTown.mutate({ townId, configVersion, config: more });
      const updated = await set({ ...config, theme: "dark" });
      assert.deepEqual([updated.config, updated.operation], [{ ...config, theme: "dark" }, null]);
      assert.equal((await set({ theme: "dark" })).configVersion, updated.configVersion);
      await fails(set({ theme: "light" }), "CONFLICT", 409);
      const removed = await gastown.updateTown.mutate({ townId, configVersion: updated.configVersion, config: { theme: null } });
      assert.deepEqual([removed.config, removed.configVersion], [config, configVersion]);
    });
    await check("removeRig removes", async () => {
      const { town, ...removed } = await gastown.removeRig.mutate({ townId, rigId: rig.rigId });
      assert.deepEqual(removed, { rigId: rig.rigId, removed: true });
      assert.deepEqual([town.townId, town.operation], [townId, null]);
      await until("without its rig", (town) => !hasRig(town));
    });

    await check("calls of one tick keep their own answers", async () => {
      const [list, missing, own] = await Promise.allSettled([
        gastown.listTowns.query(),
        gastown.getTownStatus.query({ townId: MISSING }),
        status(),
      ]);
      assert.ok(Array.isArray(list.value));
      assert.equal(missing.reason?.data?.code, "NOT_FOUND");
      assert.equal(own.value?.townId, townId);
    });
    await check("bad input names the field", async () => {
      const error = await fails(gastown.createTown.mutate({ townName: "", config: 5 }), "BAD_REQUEST", 400);
      const { fieldErrors, formErrors } = error.data.zodError;
      assert.deepEqual(Object.keys(fieldErrors).sort(), ["config", "townName"]);
      assert.deepEqual(formErrors, []);
      assert.ok(JSON.parse(error.message).some(({ path }) => path[0] === "townName"));
    });
    await check("an unknown procedure is NOT_FOUND", () => fails(gastown.noSuchThing.query(), "NOT_FOUND", 404));
    await check("a call without a token is UNAUTHORIZED", () => fails(anonymous.gastown.listTowns.query(), "UNAUTHORIZED", 401));
    if (others) {
      await check("another user's town is NOT_FOUND", async () => {
        await fails(others.gastown.getTownStatus.query({ townId }), "NOT_FOUND", 404);
        await fails(others.gastown.destroyTown.mutate({ townId }), "NOT_FOUND", 404);
      });
    }

    await check("listEvents pages through the history", async () => {
      const whole = await gastown.listEvents.query({ townId });
      const pages = [];
      for (let cursor = null; ; ) {
        const { events, nextCursor } = await gastown.listEvents.query({ townId, cursor, limit: 2 });
        pages.push(...events);
        cursor = nextCursor;
        if (!cursor) break;
      }
      assert.deepEqual(pages, whole.events);
      const first = pages.at(-1);
      assert.deepEqual([first.action, first.outcome, first.actor], ["create", "accepted", "user"]);
      assert.ok(pages.every(({ message }) => message.length > 0));
    });

    await check("destroyTown destroys", async () => {
      const gone = await gastown.destroyTown.mutate({ townId, waitUntilGone: true });
      assert.equal(gone.townId, townId);
      assert.equal(gone.status, "destroyed");
    });
    await check("a destroyed town is NOT_FOUND and not listed", async () => {
      await fails(status(), "NOT_FOUND", 404);
      assert.ok((await gastown.listTowns.query()).every((town) => town.townId !== townId));
      townId = undefined;
    });
  } finally {
    // A failed check leaves no town behind.
    if (townId) await gastown.destroyTown.mutate({ townId }).catch(() => {});
  }
}
