// uds_text.c - the standard's names for what UDS messages hold: see uds_text.h.
// SPDX-License-Identifier: Apache-2.0
//
// Names are those of ISO 14229-1:2020; from FD00 (identifiers) and F000 (routines) on, ours:
// docs/PROTOCOL.md. The decoder of whole messages is uds_text_message.c.
#include "uds_text.h"
#include "receiver.h" // the result codes

typedef struct {
    uint16_t id;
    const char *name;
} name_t;

#define FIND(table, id) find((table), sizeof(table) / sizeof *(table), (id))

static const char *find(const name_t *table, size_t count, uint16_t id)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].id == id) return table[i].name;
    return NULL;
}

const char *uds_text_sid(uint8_t sid)
{
    static const name_t table[] = {
        { UDS_SESSION_CONTROL, "DiagnosticSessionControl" },
        { UDS_ECU_RESET, "ECUReset" },
        { UDS_CLEAR_DTC, "ClearDiagnosticInformation" },
        { 0x19, "ReadDTCInformation" },
        { UDS_READ_DID, "ReadDataByIdentifier" },
        { 0x23, "ReadMemoryByAddress" },
        { 0x24, "ReadScalingDataByIdentifier" },
        { UDS_SECURITY_ACCESS, "SecurityAccess" },
        { UDS_COMMUNICATION_CONTROL, "CommunicationControl" },
        { 0x29, "Authentication" },
        { 0x2A, "ReadDataByPeriodicIdentifier" },
        { 0x2C, "DynamicallyDefineDataIdentifier" },
        { UDS_WRITE_DID, "WriteDataByIdentifier" },
        { 0x2F, "InputOutputControlByIdentifier" },
        { UDS_ROUTINE_CONTROL, "RoutineControl" },
        { UDS_REQUEST_DOWNLOAD, "RequestDownload" },
        { 0x35, "RequestUpload" },
        { UDS_TRANSFER_DATA, "TransferData" },
        { UDS_TRANSFER_EXIT, "RequestTransferExit" },
        { 0x38, "RequestFileTransfer" },
        { 0x3D, "WriteMemoryByAddress" },
        { UDS_TESTER_PRESENT, "TesterPresent" },
        { 0x83, "AccessTimingParameter" },
        { 0x84, "SecuredDataTransmission" },
        { UDS_CONTROL_DTC_SETTING, "ControlDTCSetting" },
        { 0x86, "ResponseOnEvent" },
        { 0x87, "LinkControl" },
    };
    return FIND(table, sid);
}

// --- Negative response codes ---

static const struct {
    uint8_t nrc;
    const char *name, *hint;
} nrcs[] = {
    { UDS_GENERAL_REJECT, "generalReject",
      "the device refuses and has no better word for it; read its documentation, or restart it and try again" },
    { UDS_SERVICE_NOT_SUPPORTED, "serviceNotSupported",
      "the device does not have this service at all: leave the step out of the profile, or this is not the "
      "right device" },
    { UDS_SUB_FUNCTION_NOT_SUPPORTED, "subFunctionNotSupported",
      "the device has the service, but not this variant of it: leave the step out of the profile, or take "
      "another value" },
    { UDS_INCORRECT_LENGTH, "incorrectMessageLengthOrInvalidFormat",
      "the device expects this request with more or fewer bytes: compare the profile with the device's "
      "documentation" },
    { UDS_RESPONSE_TOO_LONG, "responseTooLong",
      "the answer would not fit the device's buffer: ask for fewer identifiers at once" },
    { UDS_BUSY_REPEAT_REQUEST, "busyRepeatRequest",
      "the device is busy with another request, maybe of another tester: try again a little later" },
    { UDS_CONDITIONS_NOT_CORRECT, "conditionsNotCorrect",
      "something must be different first: vehicle standing, engine off, voltage right, another step before "
      "this one, or the running firmware confirmed" },
    { UDS_REQUEST_SEQUENCE_ERROR, "requestSequenceError",
      "the device expected another request first; it may have restarted or dropped the transfer: start the "
      "update again, it resumes where the device can" },
    { 0x25, "noResponseFromSubnetComponent",
      "the device is a gateway and what lies behind it did not answer: is that one powered?" },
    { 0x26, "failurePreventsExecutionOfRequestedAction",
      "the device has a fault that must be repaired first: read its trouble codes" },
    { UDS_REQUEST_OUT_OF_RANGE, "requestOutOfRange",
      "a value is not one the device accepts: wrong identifier, address or size, or an image that is not "
      "for this device" },
    { UDS_SECURITY_ACCESS_DENIED, "securityAccessDenied",
      "the device must be unlocked first (SecurityAccess): give the key with --key" },
    { 0x34, "authenticationRequired",
      "the device wants a certificate (Authentication), which this program does not do" },
    { UDS_INVALID_KEY, "invalidKey",
      "the key is wrong: is it the secret of this very device? After a few wrong ones the device "
      "makes everybody wait" },
    { UDS_EXCEEDED_ATTEMPTS, "exceedNumberOfAttempts",
      "too many wrong keys: wait (10 s with our devices), then try again with the right one" },
    { UDS_DELAY_NOT_EXPIRED, "requiredTimeDelayNotExpired",
      "the device makes everybody wait after a wrong key or a restart: try again in 10 s, some devices "
      "want more" },
    { 0x38, "secureDataTransmissionRequired",
      "the device wants this request in SecuredDataTransmission" },
    { 0x39, "secureDataTransmissionNotAllowed",
      "the device does not want this request in SecuredDataTransmission" },
    { 0x3A, "secureDataVerificationFailed", "the signature of the secured message is wrong" },
    { 0x50, "certificateVerificationFailedInvalidTimePeriod", "the certificate is not valid now" },
    { 0x51, "certificateVerificationFailedInvalidSignature",
      "the certificate's signature is wrong" },
    { 0x52, "certificateVerificationFailedInvalidChainOfTrust",
      "the certificate's issuer is unknown" },
    { 0x53, "certificateVerificationFailedInvalidType", "the certificate is of the wrong type" },
    { 0x54, "certificateVerificationFailedInvalidFormat", "the certificate cannot be read" },
    { 0x55, "certificateVerificationFailedInvalidContent", "the certificate's content is wrong" },
    { 0x56, "certificateVerificationFailedInvalidScope", "the certificate is for something else" },
    { 0x57, "certificateVerificationFailedInvalidCertificate", "the certificate was revoked" },
    { 0x58, "ownershipVerificationFailed", "the tester could not prove that it owns the key" },
    { 0x59, "challengeCalculationFailed", "the device could not make a challenge" },
    { 0x5A, "settingAccessRightsFailed", "the device could not grant the rights" },
    { 0x5B, "sessionKeyCreationFailed", "the device could not make a session key" },
    { 0x5C, "configurationDataUsageFailed", "the device's configuration does not allow it" },
    { 0x5D, "deAuthenticationFailed", "the device could not end the authentication" },
    { UDS_DOWNLOAD_NOT_ACCEPTED, "uploadDownloadNotAccepted",
      "the device cannot take this download: format (DFI), address or size do not suit it; some want "
      "eraseMemory first" },
    { UDS_TRANSFER_SUSPENDED, "transferDataSuspended",
      "the device stopped the transfer, usually because more bytes came than were announced: start the "
      "update again" },
    { UDS_PROGRAMMING_FAILURE, "generalProgrammingFailure",
      "erasing, writing or verifying failed in the device: start the update again; if it stays, the flash "
      "is worn out or the image is damaged" },
    { UDS_WRONG_BLOCK_COUNTER, "wrongBlockSequenceCounter",
      "a block was lost or came twice: start the update again, and if it stays switch block repeat off in "
      "the profile" },
    { UDS_RESPONSE_PENDING, "requestCorrectlyReceived-ResponsePending",
      "no error: the device is still working on it, the answer comes later" },
    { UDS_SUB_FUNCTION_NOT_IN_SESSION, "subFunctionNotSupportedInActiveSession",
      "not in this session: another session must be entered first, or it ended meanwhile (S3)" },
    { UDS_SERVICE_NOT_IN_SESSION, "serviceNotSupportedInActiveSession",
      "not in this session: another session must be entered first, or it ended meanwhile (S3)" },
    { 0x81, "rpmTooHigh", "the engine turns too fast: switch it off" },
    { 0x82, "rpmTooLow", "the engine turns too slowly" },
    { 0x83, "engineIsRunning", "switch the engine off" },
    { 0x84, "engineIsNotRunning", "the engine must run" },
    { 0x85, "engineRunTimeTooLow", "the engine has not run long enough" },
    { 0x86, "temperatureTooHigh", "let it cool down" },
    { 0x87, "temperatureTooLow", "let it warm up" },
    { 0x88, "vehicleSpeedTooHigh", "stop the vehicle" },
    { 0x89, "vehicleSpeedTooLow", "the vehicle is too slow" },
    { 0x8A, "throttle/PedalTooHigh", "release the pedal" },
    { 0x8B, "throttle/PedalTooLow", "press the pedal" },
    { 0x8C, "transmissionRangeNotInNeutral", "put the gear into neutral" },
    { 0x8D, "transmissionRangeNotInGear", "put it into gear" },
    { 0x8F, "brakeSwitch(es)NotClosed", "press the brake pedal" },
    { 0x90, "shifterLeverNotInPark", "put the lever into park" },
    { 0x91, "torqueConverterClutchLocked", "the converter clutch must be open" },
    { 0x92, "voltageTooHigh", "the supply voltage is too high: is a charger connected?" },
    { 0x93, "voltageTooLow",
      "the supply voltage is too low: connect a charger or a better supply" },
    { 0x94, "resourceTemporarilyNotAvailable", "try again later" },
};

const char *uds_text_nrc(uint8_t nrc)
{
    for (size_t i = 0; i < sizeof nrcs / sizeof nrcs[0]; i++)
        if (nrcs[i].nrc == nrc) return nrcs[i].name;
    if (nrc >= 0xF0 && nrc <= 0xFE) return "vehicleManufacturerSpecificConditionsNotCorrect";
    return (nrc == UDS_OK) ? "positiveResponse" : "reserved code";
}

const char *uds_text_nrc_hint(uint8_t nrc)
{
    for (size_t i = 0; i < sizeof nrcs / sizeof nrcs[0]; i++)
        if (nrcs[i].nrc == nrc) return nrcs[i].hint;
    return (nrc == UDS_OK) ? "no error"
                           : "only the device's documentation tells what this code means";
}

// --- Identifiers ---

const char *uds_text_did(uint16_t did)
{
    static const name_t table[] = {
        { UDS_DID_FINGERPRINT_OEM, "fingerprint" },
        { UDS_DID_BOOT_SOFTWARE, "bootSoftwareIdentification" },
        { UDS_DID_APPLICATION_SOFTWARE, "applicationSoftwareIdentification" },
        { 0xF182, "applicationDataIdentification" },
        { 0xF183, "bootSoftwareFingerprint" },
        { UDS_DID_FINGERPRINT, "applicationSoftwareFingerprint" },
        { 0xF185, "applicationDataFingerprint" },
        { UDS_DID_SESSION, "activeDiagnosticSession" },
        { UDS_DID_SPARE_PART_NUMBER, "vehicleManufacturerSparePartNumber" },
        { UDS_DID_SOFTWARE_NUMBER, "vehicleManufacturerECUSoftwareNumber" },
        { UDS_DID_SOFTWARE_VERSION, "vehicleManufacturerECUSoftwareVersionNumber" },
        { 0xF18A, "systemSupplierIdentifier" },
        { 0xF18B, "ECUManufacturingDate" },
        { UDS_DID_SERIAL_NUMBER, "ECUSerialNumber" },
        { 0xF18D, "supportedFunctionalUnits" },
        { 0xF18E, "vehicleManufacturerKitAssemblyPartNumber" },
        { UDS_DID_VIN, "VIN" },
        { UDS_DID_HARDWARE_NUMBER, "vehicleManufacturerECUHardwareNumber" },
        { 0xF192, "systemSupplierECUHardwareNumber" },
        { UDS_DID_SUPPLIER_HARDWARE_VERSION, "systemSupplierECUHardwareVersionNumber" },
        { 0xF194, "systemSupplierECUSoftwareNumber" },
        { UDS_DID_SUPPLIER_SOFTWARE_VERSION, "systemSupplierECUSoftwareVersionNumber" },
        { 0xF196, "exhaustRegulationOrTypeApprovalNumber" },
        { UDS_DID_SYSTEM_NAME, "systemNameOrEngineType" },
        { 0xF198, "repairShopCodeOrTesterSerialNumber" },
        { UDS_DID_PROGRAMMING_DATE, "programmingDate" },
        { 0xF19D, "ECUInstallationDate" },
        { 0xF19E, "ODXFile" },
        { UDS_DID_SLOTS, "slots" },
        { UDS_DID_RESULT, "last result" },
        { UDS_DID_RUNNING, "running image" },
        { UDS_DID_NEXT_SLOT, "next slot" },
    };
    static char const *const slots[] = {
        "slot 0", "slot 1", "slot 2",  "slot 3",  "slot 4",  "slot 5",  "slot 6",  "slot 7",
        "slot 8", "slot 9", "slot 10", "slot 11", "slot 12", "slot 13", "slot 14", "factory",
    };
    if (did >= UDS_DID_SLOT && did < UDS_DID_SLOT + 16) return slots[did - UDS_DID_SLOT];
    return FIND(table, did);
}

const char *uds_text_routine(uint16_t rid)
{
    static const name_t table[] = {
        { UDS_RID_CHECK_MEMORY, "checkMemory" },
        { UDS_RID_CHECK_PRECONDITIONS, "checkProgrammingPreconditions" },
        { 0xE200, "deployLoopRoutineID" },
        { UDS_RID_DOWNLOAD_POSITION, "downloadPosition" },
        { UDS_RID_CONFIRM, "confirm" },
        { UDS_RID_REJECT, "reject" },
        { UDS_RID_REACTIVATE, "reactivate" },
        { UDS_RID_ERASE_MEMORY, "eraseMemory" },
        { UDS_RID_CHECK_DEPENDENCIES, "checkProgrammingDependencies" },
        { 0xFF02, "eraseMirrorMemoryDTCs" },
    };
    return FIND(table, rid);
}

const char *uds_text_session(uint8_t type)
{
    static const name_t table[] = {
        { UDS_DEFAULT_SESSION, "default session" },
        { UDS_PROGRAMMING_SESSION, "programming session" },
        { UDS_EXTENDED_SESSION, "extended session" },
        { 0x04, "safety system session" },
    };
    return FIND(table, type);
}

const char *uds_text_reset(uint8_t type)
{
    static const name_t table[] = {
        { UDS_HARD_RESET, "hardReset" },       { UDS_KEY_OFF_ON_RESET, "keyOffOnReset" },
        { UDS_SOFT_RESET, "softReset" },       { 0x04, "enableRapidPowerShutDown" },
        { 0x05, "disableRapidPowerShutDown" },
    };
    return FIND(table, type);
}

const char *uds_text_slot_state(uint8_t state)
{
    static const name_t table[] = {
        { 0, "new" },     { 1, "pending verify" }, { 2, "valid" },
        { 3, "invalid" }, { 4, "aborted" },        { 0xFF, "no record" },
    };
    return FIND(table, state);
}

const char *uds_text_result(uint8_t result)
{
    static const name_t table[] = {
        { RECEIVER_OK, "OK" },
        { RECEIVER_NOT_AN_IMAGE, "NOT_AN_IMAGE" },
        { RECEIVER_WRONG_CHIP, "WRONG_CHIP" },
        { RECEIVER_WRONG_REVISION, "WRONG_REVISION" },
        { RECEIVER_BAD_STRUCTURE, "BAD_STRUCTURE" },
        { RECEIVER_TOO_LARGE, "TOO_LARGE" },
        { RECEIVER_NO_DESCRIPTOR, "NO_DESCRIPTOR" },
        { RECEIVER_NO_DIGEST, "NO_DIGEST" },
        { RECEIVER_BAD_CHECKSUM, "BAD_CHECKSUM" },
        { RECEIVER_BAD_DIGEST, "BAD_DIGEST" },
        { RECEIVER_INCOMPLETE, "INCOMPLETE" },
        { RECEIVER_WRONG_PROJECT, "WRONG_PROJECT" },
        { RECEIVER_TOO_OLD, "TOO_OLD" },
        { RECEIVER_BROKEN, "BROKEN" },
        { RECEIVER_SILENT, "SILENT" },
        { RECEIVER_EXCESS, "EXCESS" },
        { RECEIVER_OVERRUN, "OVERRUN" },
        { RECEIVER_ABORTED, "ABORTED" },
        { RECEIVER_REJECTED, "REJECTED" },
        { RECEIVER_FLASH, "FLASH" },
        { RECEIVER_UNCONFIRMED, "UNCONFIRMED" },
        { RECEIVER_EXHAUSTED, "EXHAUSTED" },
        { RECEIVER_CRYPTO, "CRYPTO" },
    };
    return FIND(table, result);
}
