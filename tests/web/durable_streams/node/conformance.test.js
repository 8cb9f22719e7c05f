import { runConformanceTests } from "@durable-streams/server-conformance-tests"

// DS_BASE_URL and not BASE_URL, which vitest sets itself, to "/". It is an origin: the suite appends /v1/stream/<name>, and names
// the sources of forks by that path.
runConformanceTests({
  baseUrl: process.env.DS_BASE_URL,
  longPollTimeoutMs: Number(process.env.DS_LONG_POLL_MS),
  subscriptions: process.env.DS_SUBSCRIPTIONS === "1",
})
