"""A sandbox in one file. Start it with `gastown-unseal -- python3 sandbox.py`, which opens the sealed environment."""
import base64, datetime, hmac, json, os, re, shutil, signal, threading, time, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOWN, KEY, HOME = os.environ["TOWN_ID"], os.environ["INTERNAL_API_KEY"], os.environ.get("GASTOWN_CLOUD_URL")
DATA = os.environ.get("DATA_DIR", "/home/gt/data")  # the volume, which survives a stop
RIGS, RESTORED = os.path.join(DATA, "rigs.json"), os.path.join(DATA, "restored-from")
BACKUP = os.path.join(os.environ.get("R2_DIR", "/nowhere"), TOWN + ".json")  # here: the prefix of the town in R2_BUCKET
RESTORES = os.environ.get("R2_RESTORE") == "1"
EVERY = float(os.environ.get("HEARTBEAT_SECONDS", "60"))
LOCK, TOKEN = threading.Lock(), {"value": os.environ["KILO_JWT"]}

def load(path): return open(path).read() if os.path.exists(path) else None
def save(path, text):
    with open(path + ".new", "w") as file: file.write(text)
    os.replace(path + ".new", path)
def read(): return json.loads(load(RIGS) or "[]")
def write(rigs): save(RIGS, json.dumps(rigs))
def same(rig, name): return rig["name"].lower() == name.lower()
def iso(seconds): return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()

def ready(): return not RESTORES or os.path.exists(RIGS)  # the last file that a restore writes

def restore():
    if ready(): return  # a volume with data is never restored over
    backup = json.loads(load(BACKUP) or "null")  # here: download the backup
    if backup is None: return print("there is no backup", flush=True)
    save(RESTORED, backup["savedAt"])
    write(backup["rigs"])

def expiry():
    claims = TOKEN["value"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]

def call_home():
    def post(procedure):
        headers = {"x-internal-api-key": KEY, "content-type": "application/json"}
        body = json.dumps({"townId": TOWN, "diskUsedBytes": shutil.disk_usage(DATA).used}).encode()
        request = urllib.request.Request(f"{HOME}/trpc/gastown.{procedure}", body, headers)
        return json.load(urllib.request.urlopen(request, timeout=10))
    while HOME:
        for procedure, due in [("heartbeat", True), ("refreshToken", expiry() - time.time() < 2 * 3600)]:
            try:
                if due: TOKEN["value"] = post(procedure)["result"]["data"].get("token", TOKEN["value"])
            except Exception as error: print("failed to call the control plane:", error, flush=True)
        time.sleep(EVERY)

def health(_):
    if not ready(): return 503, "not_ready"
    from_backup = {"restoredFrom": load(RESTORED)} if RESTORES and os.path.exists(RESTORED) else {}
    return 200, {"status": "ok", "townId": TOWN, "tokenExpiresAt": iso(expiry()), **from_backup}

def sync(_):
    if not ready(): return 503, "not_ready"  # an empty volume must not replace the backup
    backup = {"savedAt": iso(time.time()), "rigs": read()}
    if os.path.isdir(os.path.dirname(BACKUP)): save(BACKUP, json.dumps(backup))  # here: upload the volume
    return 200, {"syncedAt": backup["savedAt"]}

def add(body):
    name, url = body.get("name"), body.get("repoUrl")
    if not isinstance(name, str) or not isinstance(url, str): return 400, "bad_request"
    if not re.fullmatch(r"\w{1,64}", name, re.A) or name.lower() in ("hq", "mayor", "deacon"): return 422, "rig_refused"
    if not re.match(r"(https|ssh)://|[\w.]+@[\w.]+:", url) or "/refused/" in url: return 422, "rig_refused"
    rigs = read()
    if known := next((rig for rig in rigs if same(rig, name)), None):
        return (200, known) if known["repoUrl"] == url else (409, "rig_exists")
    rig = {"name": name, "repoUrl": url, "branch": body.get("branch") or "main"}  # here: gt rig add
    write(rigs + [rig])
    return 201, rig

def remove(name, force):
    rigs = read()
    rig = next((rig for rig in rigs if same(rig, name)), None)
    if rig is None: return 404, "rig_not_found"
    if "/unpushed/" in rig["repoUrl"] and not force: return 409, "rig_in_use"  # here: look for work
    write([rig for rig in rigs if not same(rig, name)])  # here: gt rig remove
    return 204, None

class Api(BaseHTTPRequestHandler):
    def answer(self):
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        given = self.headers.get("x-internal-api-key", "").encode("latin-1")
        if not hmac.compare_digest(given, KEY.encode()): return 401, "unauthorized"
        url = urllib.parse.urlsplit(self.path)
        route, path = f"{self.command} {url.path}", url.path.split("/")
        if self.command == "DELETE" and path[1] == "rigs":
            with LOCK: return remove(path[2], urllib.parse.parse_qs(url.query).get("force") == ["true"])
        if route == "GET /rigs": return 200, {"rigs": read()}
        if route == "POST /rigs":
            try: body = json.loads(text)
            except ValueError: body = None
            with LOCK: return add(body if isinstance(body, dict) else {})
        return {"GET /health": health, "POST /sync": sync}.get(route, lambda _: (404, "not_found"))(None)

    def reply(self):
        status, body = self.answer()
        if isinstance(body, str): body = {"error": {"code": body, "message": body.replace("_", " ")}}
        if status == 409: body["error"]["inTheWay"] = ["2 commits not pushed"]
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    do_GET = do_POST = do_DELETE = reply
    def log_message(self, *_): pass

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to do: each change is already on the volume
restore()
threading.Thread(target=call_home, daemon=True).start()
ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Api).serve_forever()
