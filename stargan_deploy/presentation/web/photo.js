// Photos from files, drops and the camera.

const LIVE_SIDE = 1280;
const LIVE_BYTES = 1 << 20;

/** A copy of a photo that is small enough to be sent with every move of a slider; the photo itself
 * where it is small already, or of a format that the browser cannot read. */
export async function liveCopy(photo) {
  if (photo.size <= LIVE_BYTES) return photo;
  try {
    const image = await createImageBitmap(photo);
    const scale = Math.min(1, LIVE_SIDE / Math.max(image.width, image.height));
    const canvas = canvasOf(image, Math.round(image.width * scale), Math.round(image.height * scale));
    image.close();
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  } catch {
    return photo;
  }
}

function canvasOf(image, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

/** Whether there may be a camera: browsers offer it to secure pages only. */
export function mayHaveCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Show the camera; gives a function that takes a photo of it, and one that ends it. */
export async function openCamera(video) {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "user", width: { ideal: 1280 } },
  });
  video.srcObject = stream;
  await video.play();
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
  const take = () => {
    const canvas = canvasOf(video, video.videoWidth, video.videoHeight);
    close();
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  };
  return { take, close };
}

/** The size of an image file; null where the browser cannot show it. */
export async function sizeOf(blob) {
  const image = await createImageBitmap(blob).catch(() => null);
  if (!image) return null;
  const size = { width: image.width, height: image.height };
  image.close();
  return size;
}
