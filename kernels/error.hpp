// Errors of the kernel layer.
//
// Misuse throws ShapeError and names both shapes; or both element types, or what a state lacks.
// A failing device library throws DeviceError and names the call, the file and the line.
// An iteration that does not converge is not an error here: it is a value in a report.
#pragma once

#include <stdexcept>
#include <string>

namespace widedeq {

/// Two operands of one stage do not fit each other. what() names the stage and both shapes.
class ShapeError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A device or a compute library refused a call. what() names call, file and line.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// There are devices, and none of them starts: another process has them, or their memory. what() is
/// one sentence that says what to do.
class BusyDevice : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// A device's memory does not suffice. what() says what was asked, what is free, and what to do.
class OutOfDeviceMemory : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// The machine lacks what was asked for (no GPU, no integer units). what() is one plain sentence.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace widedeq
