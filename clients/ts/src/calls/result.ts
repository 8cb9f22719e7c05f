/** A call with one result. */
import { CallFailed, Code } from "../errors.ts";
import { Call, type Carrier, type Request } from "./call.ts";

/** Make a call of kind 0 or 1, and return its result. */
export async function resultOf<T>(carrier: Carrier, request: Request): Promise<T> {
  const { source } = new Call<T>(carrier, request);
  const result = await source.next();
  if (result.done) throw new CallFailed(Code.DATA_LOSS, "the call has ended without a result");
  await source.next(); // an error after the result is the outcome
  return result.value;
}
