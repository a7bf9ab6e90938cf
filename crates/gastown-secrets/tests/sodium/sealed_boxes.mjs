// The operations of the crate, done by libsodium. Reads one JSON array of jobs from stdin and writes one array of answers.
//
// ```
// {"do": "key pair"}                                  -> {"publicKey", "privateKey"}
// {"do": "seal", "publicKey", "text"}                 -> {"sealed"}
// {"do": "open", "publicKey", "privateKey", "sealed"} -> {"text"} or {"refused": true}
// ```
//
// Keys and ciphertexts are standard base64 with padding. "sealed" is the bare box, without the prefix of the format.
import sodium from "libsodium-wrappers";
import { readFileSync } from "node:fs";

await sodium.ready;

const base64 = (bytes) => sodium.to_base64(bytes, sodium.base64_variants.ORIGINAL);
const bytes = (text) => sodium.from_base64(text, sodium.base64_variants.ORIGINAL);

const actions = {
  "key pair": () => {
    const pair = sodium.crypto_box_keypair();
    return { publicKey: base64(pair.publicKey), privateKey: base64(pair.privateKey) };
  },
  seal: ({ publicKey, text }) => ({
    sealed: base64(sodium.crypto_box_seal(sodium.from_string(text), bytes(publicKey))),
  }),
  open: ({ publicKey, privateKey, sealed }) => {
    try {
      return { text: sodium.to_string(sodium.crypto_box_seal_open(bytes(sealed), bytes(publicKey), bytes(privateKey))) };
    } catch {
      return { refused: true };
    }
  },
};

const jobs = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(jobs.map((job) => actions[job.do](job))));
