// Drives a whole life at the simulator with fly-admin, unchanged: node fly_admin.mjs <url>
import assert from "node:assert/strict";
import { createRequire } from "node:module";

// The package exports a function without an address, so its class is imported by its path.
const { default: Client } = createRequire(import.meta.url)("fly-admin/dist/client.js");

const fly = new Client("token", { apiUrl: process.argv[2] });
const app_name = "fly-admin-life";
const ok = { ok: true };

await fly.App.createApp({ app_name, org_slug: "personal" });
assert.equal((await fly.App.getApp(app_name)).status, "pending");

const volume = await fly.Volume.createVolume({ app_name, name: "data", region: "iad", size_gb: 1 });
const config = {
  image: "flyio/hellofly:latest",
  mounts: [{ volume: volume.id, path: "/data" }],
  env: { COLOUR: "red" },
};
const machine = await fly.Machine.createMachine({ app_name, name: "one", region: "iad", config });
const named = { app_name, machine_id: machine.id };
const wait = async (state, version) => {
  const answer = await fly.Machine.waitMachine({ ...named, state, timeout: "30", instance_id: version });
  assert.equal(answer.ok, true);
};
await wait("started", machine.instance_id);
assert.equal((await fly.App.getApp(app_name)).status, "deployed");
assert.deepEqual((await fly.Machine.listMachines(app_name)).map((each) => each.id), [machine.id]);
assert.equal((await fly.Volume.listVolumes(app_name))[0].attached_machine_id, machine.id);
assert.equal((await fly.Machine.listProcesses(named)).length, 2);

const lease = await fly.Machine.acquireLease({ ...named, ttl: 60 });
assert.equal(lease.status, "success");
assert.equal((await fly.Machine.getLease(named)).data.owner, lease.data.owner);
await assert.rejects(fly.Machine.stopMachine(named), /409: .*lease currently held/);
const nonce = { "fly-machine-lease-nonce": lease.data.nonce, authorization: "Bearer token" };
const path = `${process.argv[2]}/v1/apps/${app_name}/machines/${machine.id}/lease`;
assert.equal((await fetch(path, { method: "DELETE", headers: nonce })).status, 200);

assert.deepEqual(await fly.Machine.stopMachine(named), ok);
await wait("stopped", machine.instance_id);
await fly.Machine.startMachine(named);
await wait("started", machine.instance_id);

const updated = await fly.Machine.updateMachine({ ...named, config: { ...config, env: { COLOUR: "blue" } } });
await wait("started", updated.instance_id);
assert.equal((await fly.Machine.listVersions(named)).length, 2);
assert.deepEqual(await fly.Machine.restartMachine({ ...named, timeout: "5s" }), ok);
await wait("started", updated.instance_id);
assert.deepEqual(await fly.Machine.cordonMachine(named), ok);
assert.deepEqual(await fly.Machine.uncordonMachine(named), ok);
assert.deepEqual(await fly.Machine.signalMachine({ ...named, signal: "SIGUSR1" }), ok);

const exits = (await fly.Machine.listEvents(named)).filter((event) => event.type === "exit");
assert.ok(exits.every((event) => !Number.isNaN(Date.parse(event.request.exit_event.exited_at))));

assert.deepEqual(await fly.Machine.deleteMachine({ ...named, force: true }), ok);
await wait("destroyed", updated.instance_id);
assert.equal((await fly.Volume.extendVolume({ app_name, volume_id: volume.id, size_gb: 2 })).volume.size_gb, 2);
assert.deepEqual(await fly.Volume.listSnapshots({ app_name, volume_id: volume.id }), []);
for (;;) {
  // The volume is released some time after its machine is destroyed.
  const deleted = await fly.Volume.deleteVolume({ app_name, volume_id: volume.id }).catch((refused) => refused);
  if (deleted.state === "pending_destroy") break;
  assert.match(deleted.message, /412: .*currently bound/);
}
assert.equal(await fly.App.deleteApp(app_name), undefined);
await assert.rejects(fly.App.getApp(app_name), /404: .*app not found/);
console.log("fly-admin: ok");
