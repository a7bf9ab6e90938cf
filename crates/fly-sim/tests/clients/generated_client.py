"""Drives a whole life at the simulator with a client generated from Fly's document: generated_client.py <url>"""

import datetime
import json
import sys

from fly_client.api.apps import apps_create, apps_delete, apps_show
from fly_client.api.machines import (
    machines_create,
    machines_create_lease,
    machines_delete,
    machines_exec,
    machines_list,
    machines_list_events,
    machines_release_lease,
    machines_show,
    machines_show_metadata,
    machines_start,
    machines_stop,
    machines_update,
    machines_upsert_metadata,
    machines_wait,
)
from fly_client.api.platform import platform_regions_get
from fly_client.api.volumes import volume_delete, volumes_create, volumes_get_by_id
from fly_client.client import AuthenticatedClient
from fly_client.models import (
    CreateAppRequest,
    CreateLeaseRequest,
    CreateMachineRequest,
    CreateVolumeRequest,
    FlyMachineConfig,
    FlyMachineMount,
    MachineExecRequest,
    MachinesWaitState,
    StopRequest,
    UpdateMachineRequest,
    UpsertMetadataKeyRequest,
)

APP = "generated-life"
client = AuthenticatedClient(base_url=sys.argv[1] + "/v1", token="token", timeout=60)


def call(operation, status, *names, **arguments):
    """Returns the parsed answer of an operation, which must have the status."""
    response = operation.sync_detailed(*names, client=client, **arguments)
    assert response.status_code == status, (operation.__name__, response.status_code, response.content)
    return response.parsed


def wait(machine, state, version):
    answer = call(machines_wait, 200, APP, machine, state=state, version=version, timeout=30)
    assert answer.ok is True


call(apps_create, 201, body=CreateAppRequest(name=APP, org_slug="personal"))
assert call(apps_show, 200, APP).status == "pending"
assert call(platform_regions_get, 200) is not None

volume = call(volumes_create, 200, APP, body=CreateVolumeRequest(name="data", region="iad", size_gb=1))
config = FlyMachineConfig(
    image="flyio/hellofly:latest",
    mounts=[FlyMachineMount(volume=volume.id, path="/data")],
)
body = CreateMachineRequest(name="one", region="iad", config=config)
machine = call(machines_create, 200, APP, body=body)
wait(machine.id, MachinesWaitState.STARTED, machine.instance_id)
assert [each.id for each in call(machines_list, 200, APP)] == [machine.id]
assert call(machines_show, 200, APP, machine.id).config.guest.memory_mb == 256

# The generator does not decode the content type that the document gives for exec, so the body is decoded here.
request = machines_exec._get_kwargs(APP, machine.id, body=MachineExecRequest(command=["echo", "hello"], timeout=10))
done = json.loads(client.get_httpx_client().request(**request).content)
assert (done["stdout"], done["exit_code"]) == ("hello\n", 0), done

call(machines_stop, 200, APP, machine.id, body=StopRequest(timeout="1s"))
wait(machine.id, MachinesWaitState.STOPPED, machine.instance_id)
call(machines_start, 200, APP, machine.id)
wait(machine.id, MachinesWaitState.STARTED, machine.instance_id)
updated = call(machines_update, 200, APP, machine.id, body=UpdateMachineRequest(config=config))
wait(machine.id, MachinesWaitState.STARTED, updated.instance_id)

# The document lacks the envelope of leases, so the generated type keeps it in its additional properties.
lease = call(machines_create_lease, 201, APP, machine.id, body=CreateLeaseRequest(ttl=30))
nonce = lease.additional_properties["data"]["nonce"]
call(machines_release_lease, 200, APP, machine.id, fly_machine_lease_nonce=nonce)

call(machines_upsert_metadata, 204, APP, machine.id, "owner", body=UpsertMetadataKeyRequest(value="me"))
assert call(machines_show_metadata, 200, APP, machine.id).additional_properties["owner"] == "me"

events = call(machines_list_events, 200, APP, machine.id, limit=50)
exits = [event.request.additional_properties["exit_event"] for event in events if event.type_ == "exit"]
assert len(exits) == 2 and all(datetime.datetime.fromisoformat(each["exited_at"][:19]) for each in exits), exits

call(machines_delete, 200, APP, machine.id, force=True)
wait(machine.id, MachinesWaitState.DESTROYED, updated.instance_id)
while True:
    # The volume is released some time after its machine is destroyed.
    deleted = volume_delete.sync_detailed(APP, volume.id, client=client)
    if deleted.status_code == 200:
        break
    assert deleted.status_code == 412, deleted.content
assert call(volumes_get_by_id, 200, APP, volume.id).state == "pending_destroy"
call(apps_delete, 202, APP)
print("generated client: ok")
