// The page's engine where a service answers: every function is one HTTP request.

const KEY = "stargan-deploy-key";

/** A complaint that a user can read; `needsKey` asks for the API key. */
export class Problem extends Error {
  constructor(message, { needsKey = false, isMissing = false } = {}) {
    super(message);
    this.needsKey = needsKey;
    this.isMissing = isMissing;
  }
}

export const privacy =
  "Photos are sent to this service, changed there, and not stored.";

export const takesFaces = true;

/** Remember the API key for this tab. */
export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** The models: [{name, card}]. */
export async function connect() {
  const response = await ask("v1/models", {});
  return (await response.json()).models;
}

/** What the classifier reads in each face: [{labels, box?}]. */
export async function read(photo, { model, faces, signal }) {
  const response = await ask(`v1/classify?${fields({ model, faces })}`, { photo, signal });
  return (await response.json()).images[0].faces;
}

/** The changed photo as a file.
 *
 * @param {Blob} photo
 * @param {{model, attrs, strength, direction, faces, face, accept, signal}} options
 */
export async function translate(photo, { accept = "", signal, ...options }) {
  const response = await ask(`v1/translate?${fields(options)}`, { photo, signal, accept });
  return response.blob();
}

function fields(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given);
}

async function ask(address, { photo, signal, accept }) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (accept) headers.Accept = accept;
  const options = { headers, signal };
  if (photo) Object.assign(options, { method: "POST", body: photo });
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service cannot be reached.");
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

async function problemOf(response) {
  const needsKey = response.status === 401;
  const isMissing = response.status === 503;
  try {
    const { error, hint } = await response.json();
    return new Problem(hint ? `${error}; ${hint}` : error, { needsKey, isMissing });
  } catch {
    return new Problem(`The service answered with ${response.status}.`, { needsKey, isMissing });
  }
}
