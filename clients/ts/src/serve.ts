/** `@penstock/client/serve`: services of this side, which a Penstock server calls. */
export { type Description, type Implementation, offer } from "./serving/offer.ts";
