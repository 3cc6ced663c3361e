/** The job of suites/isolate.mjs. */
export default async n => n
