import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page calls its own origin, so the service needs no allowed origins.
const proxy = { "/trpc": process.env.GASTOWN_URL ?? "http://127.0.0.1:8080" };

export default defineConfig({ plugins: [react()], server: { proxy }, preview: { proxy } });
