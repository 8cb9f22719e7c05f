/** `@penstock/client/refs`: ends of streams as values, a `SourceRef` or a `SinkRef` of Python. */
export { itemsOf, release, sendTo } from "./refs/ends.ts";
