import { defineConfig } from "vitest/config"

// A suite that fails to load is a failure, and not an empty success.
export default defineConfig({
  test: { include: ["conformance.test.js"], testTimeout: 20_000, passWithNoTests: false },
})
